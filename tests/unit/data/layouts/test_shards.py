"""Sets in shards: the samples of their source, read in windows, continued in the middle; damage is named."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.numpy import load_file, save_file

from folder_sets import assert_same_sample, assert_same_samples, write_folder_set
from mtpsl.data import FolderDataset, PartialDataset, ShardsDataset, check_dataset, convert_dataset, recognize
from mtpsl.data.check.variety import require_variety
from mtpsl.data.formats.stored import read_stored
from mtpsl.data.loading import BatchLoader, make_loader
from mtpsl.data.regimes import label_mask
from mtpsl.errors import UserError

SIZE = (12, 16)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder_set(tmp_path_factory.mktemp("shards") / "source", splits={"train": 30, "val": 3})


@pytest.fixture(scope="module")
def made(source: Path) -> Path:
    """A set of 10 training shards with 3 images each."""
    out = source.parent / "made"
    assert convert(source, out, shard_mb=0.015) == {"train": 30, "val": 3}
    return out


def convert(source: Path, out: Path, **options) -> dict[str, int]:
    return convert_dataset(source, out, to="shards", progress=False, **options)


def loader(root: Path, rank: int = 0, world_size: int = 1, workers: int = 0, regime: str = "one") -> BatchLoader:
    dataset = ShardsDataset(root, "train", size=SIZE, window=2)
    mask = label_mask(dataset.available, regime, 0)
    partial = PartialDataset(dataset, mask, cache=False)
    specs = {name: task.target_spec for name, task in dataset.tasks.items()}
    options = {"rank": rank, "world_size": world_size, "workers": workers, "labelled": partial.shown.any(1)}
    return make_loader(partial, specs, batch_size=4, shuffle=True, seed=1, **options)


def keys(loader: BatchLoader) -> list[list[str]]:
    return [batch.keys for batch in loader]


@pytest.mark.parametrize("size", [None, (6, 8), (24, 10)])
def test_a_set_in_shards_gives_the_samples_of_its_source(source: Path, made: Path, size):
    for split in ("train", "val"):
        assert_same_samples(FolderDataset(source, split, size=size), ShardsDataset(made, split, size=size))
    assert recognize(made) == "shards"
    assert ShardsDataset.find_splits(made) == ["train", "val"]
    assert len([*made.glob("train-*.tar")]) > 5
    assert check_dataset(made, progress=False).ok
    only = ShardsDataset(made, "train", tasks=["edges"])
    assert [*only.tasks] == ["edges"]
    assert only.available.tolist() == FolderDataset(source, "train", tasks=["edges"]).available.tolist()


def test_a_set_is_converted_into_shards_and_back(made: Path, tmp_path: Path):
    convert_dataset(made, tmp_path / "packed", progress=False)
    convert(tmp_path / "packed", tmp_path / "again", shard_mb=0.015)
    for path in made.iterdir():
        if path.name not in ("source.json", "shards.yaml"):
            assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path


def test_shards_are_plain_tar_files_of_pictures_and_arrays(made: Path, source: Path):
    with tarfile.open(made / "train-000000.tar") as tar:
        names = tar.getnames()
        picture = Image.open(io.BytesIO(tar.extractfile(names[0]).read()))  # type: ignore[union-attr]
    assert "0000000000.image.png" in names
    assert {name.rpartition(".")[2] for name in names} <= {"png", "npy"}
    assert picture.size


def test_only_what_an_image_takes_is_read(made: Path, monkeypatch: pytest.MonkeyPatch):
    dataset = ShardsDataset(made, "train", window=1)
    read: list[tuple[str, int]] = []
    pread = os.pread
    monkeypatch.setattr(
        os, "pread", lambda handle, count, place: read.append((place, count)) or pread(handle, count, place)
    )
    dataset[4]
    start, end = dataset.index.places[4].tolist()
    assert read == [(start, end - start)]
    assert dataset.image_size(7) == FolderDataset(made.parent / "source", "train").image_size(7)
    assert len(read) == 1


def test_few_shards_are_open_at_a_time(made: Path):
    dataset = ShardsDataset(made, "train", size=SIZE, window=2)
    most = 0
    for index in [*range(30), *range(30)]:
        dataset[index]
        most = max(most, dataset.shards.opened)
    assert most == 4
    again = pickle.loads(pickle.dumps(dataset))
    assert again.shards.opened == 0
    assert_same_sample(again[3], dataset[3])


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_goes_on_in_the_middle_in_the_very_batches(made: Path, workers: int):
    whole = loader(made)
    whole.set_epoch(2)
    batches = keys(whole)
    assert len(batches) == 8
    middle = loader(made, workers=workers)
    middle.start(2, 3)
    assert keys(middle) == batches[3:]
    middle.set_epoch(3)
    assert keys(middle) != batches


def test_two_processes_have_shares_that_together_are_everything(made: Path):
    shares = [[key for batch in keys(loader(made, rank, 2)) for key in batch] for rank in range(2)]
    assert not {*shares[0]} & {*shares[1]}
    assert sorted(shares[0] + shares[1]) == ShardsDataset(made, "train").keys


def test_before_training_a_few_shards_are_looked_at(made: Path):
    dataset = ShardsDataset(made, "train", size=SIZE, window=1)
    partial = PartialDataset(dataset, dataset.available, cache=False)
    partial.estimate_bytes(3)
    require_variety(partial)
    assert dataset.shards.opened <= 2


def test_no_label_is_unpickled(tmp_path: Path):
    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    with pytest.raises(UserError, match=r"a\.npy: cannot be read as a numpy array \(type object\)"):
        read_stored(Path("a.npy"), file.getvalue())
    for content in (b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x07\x00" + b"0" * 30):
        with pytest.raises(UserError, match=r"a\.npy: cannot be read as a numpy array"):
            read_stored(Path("a.npy"), content)
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.zeros((2, 2), bool)):
        file = io.BytesIO()
        np.save(file, array)
        assert read_stored(Path("a.npy"), file.getvalue()).numbers.tolist() == array.tolist()
        cut = file.getvalue()[:-1]
        with pytest.raises(UserError, match=r"a\.npy: cannot be read"):
            read_stored(Path("a.npy"), cut)


def spoil_index(out: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    arrays = load_file(out / "train.index")
    arrays = {name: array.copy() for name, array in arrays.items()}
    change(arrays)
    save_file(arrays, out / "train.index")


def spoil_description(out: Path, **entries) -> None:
    content = yaml.safe_load((out / "shards.yaml").read_text())
    (out / "shards.yaml").write_text(yaml.safe_dump({**content, **entries}))


def write_zeros(path: Path, place: int, count: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\0" * count)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a shard is cut off": (
        lambda out: os.truncate(out / "train-000001.tar", 100),
        r"train-000001\.tar: should have \d+ bytes as train\.index says, not 100: copy it again",
    ),
    "a shard is missing": (lambda out: (out / "train-000001.tar").unlink(), r"train-000001\.tar: .* is missing"),
    "an index is cut off": (lambda out: os.truncate(out / "train.index", 50), r"train\.index: is damaged"),
    "an index lacks an array": (
        lambda out: spoil_index(out, lambda arrays: arrays.pop("places")),
        r"train\.index: is damaged",
    ),
    "an image beyond its shard": (
        lambda out: spoil_index(out, lambda arrays: arrays["places"].__setitem__((0, 1), 10**9)),
        r"train\.index: is damaged \(an image beyond its shard\)",
    ),
    "a shard that is not there": (
        lambda out: spoil_index(out, lambda arrays: arrays["shard"].__setitem__(0, 99)),
        r"train\.index: is damaged",
    ),
    "an image at another place": (
        lambda out: spoil_index(out, lambda arrays: arrays["places"].__setitem__(0, arrays["places"][1])),
        r"train-000000\.tar/0000000000: is not where train\.index says",
    ),
    "bytes in a shard": (
        lambda out: write_zeros(out / "train-000000.tar", 0, 600),
        r"train-000000\.tar/0000000000: is (damaged|not where)",
    ),
    "no description": (lambda out: (out / "shards.yaml").unlink(), r"shards\.yaml: there is no such file"),
    "no YAML": (lambda out: (out / "shards.yaml").write_text("{"), r"shards\.yaml: is not YAML"),
    "another version": (lambda out: spoil_description(out, version=7), r"is of version 7, not 1: convert the source"),
    "an unknown key": (lambda out: spoil_description(out, more=1), r"shards\.yaml: should have the keys version, name"),
    "a wrong task": (
        lambda out: spoil_description(out, tasks={"depth": {"scale": -1}}),
        r"shards\.yaml: task 'depth'",
    ),
    "a task without labels": (
        lambda out: spoil_description(out, tasks={"depth": {}, "saliency": {}}),
        r"shards\.yaml: task 'saliency' is not in train\.index: remove it",
    ),
    "an index with fewer columns": (
        lambda out: spoil_index(out, lambda arrays: arrays.update(labelled=arrays["labelled"][:, :1].copy())),
        r"train\.index: is damaged \(30 names, 4 tasks and arrays",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_damage_is_named(made: Path, tmp_path: Path, case: str):
    change, message = BROKEN[case]
    out = tmp_path / "set"
    out.mkdir()
    for path in made.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    change(out)
    with pytest.raises(UserError, match=message):
        ShardsDataset(out, "train")[0]


def test_tasks_of_the_description_may_be_sorted_or_fewer(made: Path, tmp_path: Path):
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = yaml.safe_load((made / "shards.yaml").read_text())
    for names in (["normals", "edges", "depth", "segmentation"], ["edges"]):
        spoil_description(tmp_path, tasks={name: content["tasks"][name] for name in sorted(names)})
        changed, whole = ShardsDataset(tmp_path, "train"), ShardsDataset(made, "train")
        assert [*changed.tasks] == sorted(names)
        for index in range(3):
            assert {*changed[index].targets} == {*whole[index].targets} & {*names}


def test_a_damaged_picture_names_its_shard(made: Path, tmp_path: Path):
    with tarfile.open(made / "train-000000.tar") as tar:
        place = tar.getmember("0000000000.image.png").offset_data
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_zeros(tmp_path / "train-000000.tar", place + 60, 40)
    with pytest.raises(UserError, match=r"train-000000\.tar/0000000000\.image\.png: .*: copy the shard again"):
        ShardsDataset(tmp_path, "train")[0]


def test_wrong_calls_name_the_cure(made: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match=r"there is no split 'test': there are train, val"):
        ShardsDataset(made, "test")
    with pytest.raises(UserError, match=r"unknown task 'flow': .*shards\.yaml describes segmentation"):
        ShardsDataset(made, "train", tasks=["flow"])
    with pytest.raises(UserError, match=r"--shard_mb belongs to --to shards, not to packed: leave it out"):
        convert_dataset(source, tmp_path / "out", shard_mb=1, progress=False)
    (tmp_path / "merged.yaml").write_text(
        yaml.safe_dump({"name": "two", "size": [*SIZE], "sources": {"a": {"root": str(made), "tasks": ["depth"]}}})
    )
    with pytest.raises(UserError, match=r"a source of a merged set cannot be in shards: convert it with --to packed"):
        check_dataset(tmp_path / "merged.yaml", progress=False)
    imported = builtins.__import__

    def missing(name: str, *rest):
        if name.partition(".")[0] == "webdataset":
            raise ImportError
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    for call in (lambda: ShardsDataset(made, "train"), lambda: convert(source, tmp_path / "out")):
        with pytest.raises(UserError, match=r"data sets in shards need webdataset: pip install 'mtpsl\[stream\]'"):
            call()


def test_the_engine_is_imported_only_where_it_is_used():
    code = "import sys, mtpsl.data, mtpsl.data.convert; sys.exit('webdataset' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_values_that_a_picture_cannot_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = write_folder_set(tmp_path / "source", splits={"train": 2})
    monkeypatch.setattr(FolderDataset, "image", lambda self, index: torch.full((3, 12, 20), 0.3))
    with pytest.raises(UserError, match=r"image '000' has values .* --to packed"):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
