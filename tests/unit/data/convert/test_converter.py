"""Converted data sets: the same samples, and a folder that is whole, absent or continued."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from folder_sets import assert_same_sample, assert_same_samples, write_folder_set
from mtpsl.data import DATASETS, FolderDataset, PackedDataset, StoredDataset, convert_dataset
from mtpsl.data.formats import DepthFormat, NormalsFormat, SegmentationFormat
from mtpsl.data.layouts.records import pack, read_bits, read_numbers
from mtpsl.data.registry import open_layout
from mtpsl.errors import UserError
from mtpsl.structures import TargetSpec


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_folder_set(tmp_path / "source")


def convert(source: Path, out: Path, **options) -> dict[str, int]:
    return convert_dataset(source, out, progress=False, **options)


@pytest.mark.parametrize("to", ["packed", "shards", "folder"])
@pytest.mark.parametrize("size", [None, (6, 8), (24, 10)])
def test_a_converted_set_gives_the_same_samples(source, tmp_path, to, size):
    assert convert(source, tmp_path / "out", to=to, size=size) == {"train": 4, "val": 2}
    for split in ("train", "val"):
        assert_same_samples(FolderDataset(source, split, size=size), DATASETS[to](tmp_path / "out", split, size=size))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


@pytest.mark.parametrize("to", ["packed", "shards", "folder"])
def test_a_set_converted_at_its_own_size_is_resized_like_its_source(source, tmp_path, to):
    convert(source, tmp_path / "out", to=to)
    for size in [(6, 8), (24, 10)]:
        assert_same_samples(
            FolderDataset(source, "train", size=size), DATASETS[to](tmp_path / "out", "train", size=size)
        )


def test_splits_and_tasks_can_be_chosen(source, tmp_path):
    assert convert(source, tmp_path / "out", splits=["val"], tasks=["edges", "depth"]) == {"val": 2}
    assert PackedDataset.find_splits(tmp_path / "out") == ["val"]
    packed = PackedDataset(tmp_path / "out", "val")
    assert [*packed.tasks] == ["depth", "edges"]
    only = PackedDataset(tmp_path / "out", "val", tasks=["edges"])
    assert only.available.tolist() == packed.available[:, 1:].tolist()
    assert_same_sample(only[0], FolderDataset(source, "val", tasks=["edges"])[0])
    with pytest.raises(UserError, match=r"unknown task 'saliency': .* has depth, edges"):
        PackedDataset(tmp_path / "out", "val", tasks=["saliency"])
    with pytest.raises(UserError, match="no split 'train': there are val"):
        PackedDataset(tmp_path / "out", "train")


def test_an_open_file_does_not_travel_to_other_processes(source, tmp_path):
    convert(source, tmp_path / "out")
    packed = PackedDataset(tmp_path / "out", "train")
    first = packed[0]
    again = pickle.loads(pickle.dumps(packed))
    assert again._handle is None
    assert_same_sample(first, again[0])


def test_a_file_that_becomes_shorter_while_it_is_read_is_named(source, tmp_path):
    convert(source, tmp_path / "out")
    packed = PackedDataset(tmp_path / "out", "train")
    first, last = packed[0], len(packed) - 1
    os.truncate(tmp_path / "out" / "train.pack", packed._starts[1])
    assert_same_sample(first, packed[0])
    with pytest.raises(UserError, match=r"train\.pack: ends within an image: copy it again"):
        packed[last]


class Numbers(StoredDataset):
    """Images as values, 12 of them, with labels that only wide types hold."""

    def __init__(self, root, split, *, size=None, tasks=None) -> None:
        self.name = "numbers"
        every = {
            "segmentation": SegmentationFormat(classes=300, ignore=65535),
            "depth": DepthFormat(missing="nan"),
            "normals": NormalsFormat(),
        }
        super().__init__({name: one for name, one in every.items() if tasks is None or name in tasks}, size)
        self.keys = [str(number) for number in range(12)]
        self.available = torch.ones((12, len(self.tasks)), dtype=torch.bool)
        self.levels = "levels" in str(root)

    @classmethod
    def find_splits(cls, root):
        return ["train"] if root.name.startswith("numbers") else []

    def image(self, index) -> Float[Tensor, "3 h w"]:
        x = torch.rand((3, 6, 10), generator=torch.Generator().manual_seed(index))
        return (x * 255).round().div(255) if self.levels else x

    def stored(self, index, task):
        random = np.random.default_rng(index)
        if task == "segmentation":
            return random.choice(np.array([0, 299, 65535], np.uint16), (6, 10)), Path("a.npy")
        if task == "depth":
            return random.choice(np.array([0, 0.1, 1e-30, np.nan]), (6, 10)), Path("a.npy")
        vectors = random.normal(size=(6, 10, 3))
        vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
        return vectors * 0.97, Path("a.npy")


@pytest.mark.parametrize("name", ["numbers", "numbers levels"])
@pytest.mark.parametrize("size", [None, (4, 5)])
def test_images_of_real_values_are_kept_to_the_bit(tmp_path, monkeypatch, name, size):
    monkeypatch.setitem(DATASETS, "numbers", Numbers)
    (tmp_path / name).mkdir()
    convert(tmp_path / name, tmp_path / "out", size=size)
    source = Numbers(tmp_path / name, "train", size=size)
    assert_same_samples(source, PackedDataset(tmp_path / "out", "train", size=size))
    if size is None:
        assert_same_sample(
            Numbers(tmp_path / name, "train", size=(3, 9))[5], PackedDataset(tmp_path / "out", "train", size=(3, 9))[5]
        )


def test_numbers_keep_their_order_as_files_and_wide_classes_their_values(tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "numbers", Numbers)
    (tmp_path / "numbers levels").mkdir()
    convert(tmp_path / "numbers levels", tmp_path / "out", to="folder")
    folder = FolderDataset(tmp_path / "out", "train")
    assert folder.keys == [f"{number:02}" for number in range(12)]
    source = Numbers(tmp_path / "numbers levels", "train")
    for index in (0, 11):
        sample = folder[index]
        for name, target in source[index].targets.items():
            assert torch.equal(target, sample.targets[name])
            assert torch.equal(source[index].valid[name], sample.valid[name])
        assert torch.equal(source[index].image, sample.image)


def test_an_image_that_a_png_cannot_hold_is_refused_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "numbers", Numbers)
    (tmp_path / "numbers").mkdir()
    with pytest.raises(UserError, match=r"image '0' has values .* --to packed"):
        convert(tmp_path / "numbers", tmp_path / "out", to="folder")
    assert [path.name for path in tmp_path.iterdir()] == ["numbers"]


def test_a_record_uses_the_smallest_types_and_one_bit_per_valid_pixel():
    specs = [TargetSpec(0, torch.long), TargetSpec(1, torch.float32), TargetSpec(3, torch.float32)]
    valid = torch.tensor([[True, False, True], [False, False, True]])
    labels = [
        (torch.tensor([[0, 1, 2], [3, 4, 300]]), valid),
        (torch.tensor([[[0.0, 0.5, 2.0], [3.0, 4.0, 5.0]]]), valid),
        None,
    ]
    record, content = pack("a", Image.new("RGB", (3, 2), (1, 2, 3)), labels, specs)
    assert record.row() == ["a", 2, 3, "picture", "int16", "float16", None]
    # by hand: 18 -> 24 bytes of image; 12 -> 16 and 1 -> 8; 12 -> 16 and 1 -> 8
    assert len(content) == record.bytes(specs) == 24 + 24 + 24
    numbers, parts = np.frombuffer(content, np.uint8), record.parts(specs)
    assert numbers[:18].tolist() == [1] * 6 + [2] * 6 + [3] * 6
    target, mask = parts.targets[0], parts.valid[0]
    assert target is not None
    assert mask is not None
    assert (target.start, target.bytes, mask.start, mask.bit_bytes) == (24, 12, 40, 1)
    assert read_numbers(content[24:36], target).tolist() == [[0, 1, 2], [3, 4, 300]]
    assert numbers[40] == 0b10100100
    assert read_bits(content[40:41], mask).tolist() == valid.tolist()


def test_what_was_converted_is_not_converted_again(source, tmp_path):
    convert(source, tmp_path / "out")
    before = (tmp_path / "out/train.pack").stat().st_mtime_ns
    assert convert(source, tmp_path / "out") == {"train": 4, "val": 2}
    assert (tmp_path / "out/train.pack").stat().st_mtime_ns == before


def test_a_changed_source_is_noticed(source, tmp_path):
    convert(source, tmp_path / "out")
    with pytest.raises(UserError, match=r"with other options: size: .*--force"):
        convert(source, tmp_path / "out", size=(6, 8))
    Image.new("RGB", (20, 12), (9, 9, 9)).save(source / "train/image/000.png")
    with pytest.raises(UserError, match=r"source, which has changed since: .* new folder, or replace it with --force"):
        convert(source, tmp_path / "out")
    convert(source, tmp_path / "out", force=True)
    assert_same_samples(FolderDataset(source, "train"), PackedDataset(tmp_path / "out", "train"))
    (source / "val/edges/000.png").unlink()
    with pytest.raises(UserError, match=r"changed since \(\d+ files then, \d+ now\)"):
        convert(source, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_a_changed_description_elsewhere_is_noticed(source, tmp_path):
    described = (source / "dataset.yaml").rename(tmp_path / "described.yaml")
    convert(source, tmp_path / "out", description=described)
    described.write_text(described.read_text().replace("name: ", "name: other "))
    with pytest.raises(UserError, match=r"source, which has changed since"):
        convert(source, tmp_path / "out", description=described)


def test_changes_behind_links_are_noticed_and_links_to_nothing_or_around_are_not_followed(source, tmp_path):
    elsewhere = (source / "train").rename(tmp_path / "elsewhere")
    (source / "train").symlink_to(elsewhere)
    (source / "train" / "around").symlink_to(source)
    (source / "nothing").symlink_to(tmp_path / "absent")
    convert(source, tmp_path / "out")
    convert(source, tmp_path / "out")
    (elsewhere / "depth" / "001.png").touch()
    with pytest.raises(UserError, match=r"source, which has changed since"):
        convert(source, tmp_path / "out")


@pytest.mark.parametrize("to", ["packed", "shards", "folder"])
def test_a_task_that_only_a_later_split_has_is_kept(tmp_path, to):
    for split, folders in {"train": ("image", "depth", "normal"), "val": ("image", "label", "depth")}.items():
        for name in folders:
            (tmp_path / "mtan" / split / name).mkdir(parents=True)
            shape = {"image": (4, 6, 3), "label": (4, 6), "depth": (4, 6, 1), "normal": (4, 6, 3)}[name]
            np.save(tmp_path / "mtan" / split / name / "0.npy", np.ones(shape) * (name != "normal"))
    convert(tmp_path / "mtan", tmp_path / "out", to=to, name="nyuv2")
    for split, has in {"train": {"depth", "normals"}, "val": {"depth", "segmentation"}}.items():
        converted = DATASETS[to](tmp_path / "out", split)
        assert {*converted.tasks} == {"segmentation", "depth", "normals"}
        assert {*converted[0].targets} == has


def test_only_a_converted_set_is_ever_replaced(source, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(UserError, match="other exists and is not a converted data set"):
            convert(source, other, force=force)
    with pytest.raises(UserError, match=r"notes\.txt exists and is not"):
        convert(source, other / "notes.txt")
    for out in (source, source / "packed", tmp_path):
        with pytest.raises(UserError, match="should lie outside the data set"):
            convert(source, out)
    assert (other / "notes.txt").read_text() == "mine"
    with pytest.raises(UserError, match="none of the known layouts"):
        convert(other, tmp_path / "out")
    with pytest.raises(UserError, match="no such folder"):
        convert(tmp_path / "absent", tmp_path / "out")
    with pytest.raises(UserError, match="layout 'folders' is unknown: choose one of folder, "):
        convert(source, tmp_path / "out", name="folders")
    with pytest.raises(UserError, match="classes does not apply to data set folder"):
        convert(source, tmp_path / "out", classes=13)
    (tmp_path / "empty").mkdir()
    convert(source, tmp_path / "empty")
    assert len(PackedDataset(tmp_path / "empty", "train")) == 4


def test_a_broken_source_leaves_nothing_behind(source, tmp_path):
    (source / "train/depth/003.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"depth/003\.png"):
        convert(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("to", ["packed", "folder"])
def test_an_interrupted_conversion_continues_with_what_is_whole(source, tmp_path, monkeypatch, to):
    read, rows = FolderDataset.image, []

    def interrupted(self, index):
        if len(rows) == 3:
            raise KeyboardInterrupt
        rows.append(index)
        return read(self, index)

    monkeypatch.setattr("mtpsl.data.convert.converter.os.cpu_count", lambda: 1)
    monkeypatch.setattr(FolderDataset, "image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "out", to=to)
    partial = tmp_path / ".out.partial"
    assert partial.is_dir()
    assert not (tmp_path / "out").exists()
    if to == "packed":  # as a process leaves it that is killed while it writes
        with (partial / "train.pack").open("ab") as file:
            file.write(b"half an image")
        with (partial / "train.journal").open("ab") as file:
            file.write(b'["002", 12, 2')
    else:
        (partial / "train/image/.2-abc.png").write_bytes(b"half")
    before = list(rows)
    assert before
    monkeypatch.setattr(FolderDataset, "image", lambda self, index: rows.append(index) or read(self, index))
    convert(source, tmp_path / "out", to=to)
    assert len(rows) - len(before) < 6
    for split in ("train", "val"):
        assert_same_samples(FolderDataset(source, split), DATASETS[to](tmp_path / "out", split))
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".") or "journal" in path.name]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_an_interrupted_conversion_of_something_else_is_not_continued(source, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(FolderDataset, "image", lambda self, index: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            convert(source, tmp_path / "out")
    with pytest.raises(UserError, match=r"its conversion was begun from .* with other options: tasks"):
        convert(source, tmp_path / "out", tasks=["depth"])
    convert(source, tmp_path / "out", tasks=["depth"], force=True)
    assert [*PackedDataset(tmp_path / "out", "train").tasks] == ["depth"]


def spoil(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


DAMAGE = {
    "a file that is cut off": (
        lambda out: os.truncate(out / "train.pack", 100),
        r"train\.pack: should have \d+ bytes as packed\.json says, not 100: copy it again",
    ),
    "a missing file": (lambda out: (out / "train.pack").unlink(), r"train\.pack: .* but is missing"),
    "no description": (lambda out: (out / "packed.json").unlink(), r"packed\.json: there is no such file"),
    "half a description": (lambda out: os.truncate(out / "packed.json", 50), r"packed\.json: is damaged"),
    "another version": (
        lambda out: spoil(out / "packed.json", lambda content: content.update(version=7)),
        "is of version 7, not 1: convert the source again",
    ),
    "an unknown type": (
        lambda out: spoil(out / "packed.json", lambda content: content["splits"]["train"][0].__setitem__(4, "object")),
        r"packed\.json: is damaged \(an image should have",
    ),
    "a size of nothing": (
        lambda out: spoil(out / "packed.json", lambda content: content["splits"]["train"][0].__setitem__(1, 0)),
        "is damaged",
    ),
    "another description": (
        lambda out: spoil(out / "packed.json", lambda content: content["tasks"]["depth"].update(scale=-1)),
        "`scale` should be a positive number",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_converted_set_is_refused_in_one_line(source, tmp_path, name):
    convert(source, tmp_path / "out")
    damage, message = DAMAGE[name]
    damage(tmp_path / "out")
    with pytest.raises(UserError, match=message) as caught:
        PackedDataset(tmp_path / "out", "train")
    assert "\n" not in str(caught.value)


def test_another_layout_opened_as_packed_is_named(source):
    with pytest.raises(UserError, match=r"it looks like a folder data set: name that layout, or none"):
        open_layout("packed", source, "train")
