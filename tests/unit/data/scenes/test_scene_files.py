from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from mtpsl.data import FolderDataset
from mtpsl.data.scenes import ScenesDataset, write_scenes
from mtpsl.data.scenes import dataset as scenes_module
from mtpsl.errors import UserError

SIZE = (48, 64)


def test_written_scenes_are_read_back_as_a_folder(tmp_path: Path):
    write_scenes(tmp_path / "rooms", {"train": 3, "val": 1}, size=SIZE, seed=5, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["rooms"]
    for split, count in (("train", 3), ("val", 1)):
        read, made = FolderDataset(tmp_path / "rooms", split), ScenesDataset(count, split, size=SIZE, seed=5)  # type: ignore[arg-type]
        assert read.keys == made.keys
        assert [(name, task.options()) for name, task in read.tasks.items()] == [
            (name, task.options()) for name, task in made.tasks.items()
        ]
        for one, other in zip([*read], [*made], strict=True):
            assert torch.equal(one.image, other.image)
            assert all(mask.all() for mask in one.valid.values())
            assert torch.equal(one.targets["segmentation"], other.targets["segmentation"])
            assert torch.equal(one.targets["edges"], other.targets["edges"])
            assert (one.targets["depth"] - other.targets["depth"]).abs().max() < 0.00051
            assert (one.targets["normals"] - other.targets["normals"]).abs().max() < 0.01


def test_only_the_tasks_asked_for_are_written(tmp_path: Path):
    write_scenes(tmp_path / "rooms", {"val": 1}, size=SIZE, tasks=("depth",), progress=False)
    assert sorted(path.name for path in (tmp_path / "rooms" / "val").iterdir()) == ["depth", "image"]
    assert [*yaml.safe_load((tmp_path / "rooms" / "dataset.yaml").read_text())["tasks"]] == ["depth"]


def test_a_folder_with_files_is_left_alone(tmp_path: Path):
    (tmp_path / "mine").write_text("precious")
    for out in (tmp_path, tmp_path / "mine"):
        with pytest.raises(UserError, match=f"{out} exists and is not an empty folder"):
            write_scenes(out, {"train": 1}, size=SIZE, progress=False)
    assert (tmp_path / "mine").read_text() == "precious"
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        write_scenes(tmp_path / "mine" / "rooms", {"train": 1}, size=SIZE, progress=False)


@pytest.mark.parametrize(
    ("counts", "message"), [({}, "at least one split"), ({"test": 1}, "no split 'test'"), ({"val": 0}, "not 0")]
)
def test_wrong_counts_are_refused_before_anything_is_written(tmp_path: Path, counts: dict[str, int], message: str):
    with pytest.raises(UserError, match=message):
        write_scenes(tmp_path / "rooms", {"train": 1, **counts} if counts else counts, size=SIZE, progress=False)
    assert not [*tmp_path.iterdir()]


def test_an_interrupted_writer_leaves_nothing_and_a_killed_one_is_cleaned_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(*_: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scenes_module, "png_array", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_scenes(tmp_path / "rooms", {"train": 2}, size=SIZE, progress=False)
    assert not [*tmp_path.iterdir()]

    left = tmp_path / ".rooms.partial" / "train" / "image"
    left.mkdir(parents=True)
    (left / "000009.png").write_bytes(b"half")
    (tmp_path / "rooms").mkdir()  # an empty folder may be there
    write_scenes(tmp_path / "rooms", {"train": 2}, size=SIZE, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["rooms"]
    assert len([*(tmp_path / "rooms" / "train" / "image").iterdir()]) == 2
