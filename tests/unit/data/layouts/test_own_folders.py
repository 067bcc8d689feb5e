"""A dataset.yaml that says where images and labels lie, and which image is in which split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from mtpsl.data import FolderDataset
from mtpsl.data.check import check_dataset
from mtpsl.data.convert import convert_dataset
from mtpsl.data.layouts.hash_split import HashSplit
from mtpsl.errors import UserError
from mtpsl.training.config import parse_config
from mtpsl.training.run_data import run_data


def write(root: Path, names: list[str], **entries: Any) -> Path:
    """Pictures and masks of these names, and a description with these entries."""
    for place, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 8), place % 2, np.uint8)).save(path)
    described = {"name": "own", "tasks": {"segmentation": {"classes": 2}}, **entries}
    (root / "dataset.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    return root


def test_folders_of_any_name_are_read_in_splits(tmp_path: Path) -> None:
    names = ["train/photos/a.jpg", "train/photos/b.jpg", "train/masks/b.png", "val/photos/c.png", "val/masks/c.png"]
    root = write(tmp_path, names, folders={"image": "photos", "segmentation": "masks"})
    dataset = FolderDataset(root, "train")
    assert dataset.keys == ["a", "b"]
    assert dataset.available.tolist() == [[False], [True]]
    assert not dataset.files.notes
    assert FolderDataset.find_splits(root) == ["train", "val"]


def test_splits_may_lie_inside_the_folders(tmp_path: Path) -> None:
    names = ["images/train/s/a.png", "annotations/train/s/a_mask.png", "images/val/b.png", "annotations/val/b_mask.png"]
    folders = {"image": "images/{split}", "segmentation": "annotations/{split}/*_mask"}
    root = write(tmp_path, names, folders=folders)
    assert FolderDataset.find_splits(root) == ["train", "val"]
    assert FolderDataset(root, "train").keys == ["s/a"]
    assert FolderDataset(root, "val").available.all()


def test_images_and_labels_may_share_a_folder(tmp_path: Path) -> None:
    names = ["all/a.png", "all/a_mask.png", "all/b.png"]
    folders = {"image": "all/*", "segmentation": "all/*_mask.png"}
    root = write(tmp_path, names, folders=folders, split={"by": "hash", "val": 0})
    dataset = FolderDataset(root, "train")
    assert dataset.keys == ["a", "b"]
    assert dataset.available.tolist() == [[True], [False]]


def test_a_split_by_hash_is_the_same_after_more_images_came(tmp_path: Path) -> None:
    names = [f"images/{place:03}.jpg" for place in range(60)] + [f"masks/{place:03}.png" for place in range(60)]
    entries = {
        "folders": {"image": "images", "segmentation": "masks"},
        "split": {"by": "hash", "val": 0.3, "test": 0.2},
    }
    root = write(tmp_path, names, **entries)
    before = {split: FolderDataset(root, split).keys for split in FolderDataset.find_splits(root)}
    assert [*before] == ["train", "val", "test"]
    assert sorted(key for keys in before.values() for key in keys) == [f"{place:03}" for place in range(60)]
    assert 8 <= len(before["val"]) <= 28
    write(root, ["images/100.jpg", "images/101.jpg"], **entries)
    for split, keys in before.items():
        assert set(keys) <= set(FolderDataset(root, split).keys)
    with pytest.raises(UserError, match="no split 'holdout': there are train, val, test"):
        FolderDataset(root, "holdout")


def test_frames_of_a_sequence_stay_together() -> None:
    split = HashSplit(val=0.5, group="sequence")
    for name in ("street", "scene7/", "cam2_"):
        assert len({split.of(f"{name}_{frame}") for frame in range(40)}) == 1
    assert len({split.of(f"place{place}_0001") for place in range(40)}) == 2
    assert split.group_of("a10_0003_left") == "a10_"
    by_letters = HashSplit(group="[a-z]+")
    assert [by_letters.group_of(name) for name in ("ab12", "ab7x", "7")] == ["ab", "ab", "7"]


def test_check_and_convert_follow_the_description(tmp_path: Path) -> None:
    names = [f"{kind}/{place}.png" for kind in ("images", "masks") for place in range(9)]
    root = write(
        tmp_path / "set",
        names,
        folders={"image": "images", "segmentation": "masks"},
        split={"by": "hash", "val": 0.4},
    )
    elsewhere = (root / "dataset.yaml").rename(tmp_path / "described.yaml")
    (root / "notes").mkdir()
    report = check_dataset(root, elsewhere, progress=False)
    assert report.ok
    assert {*report.splits} == {"train", "val"}
    assert any("passed over" in note and "notes" in note for note in report.notes)
    counts = convert_dataset(root, tmp_path / "out", to="folder", description=elsewhere, progress=False)
    assert sum(counts.values()) == 9
    assert FolderDataset(tmp_path / "out", "val").keys == FolderDataset(root, "val", description=elsewhere).keys


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"folders": ["images"]}, "`folders` should give a folder to image and to tasks"),
        ({"folders": {"depth": "depth"}}, "`folders` names 'depth': known are image, segmentation"),
        ({"folders": {"image": "../images"}}, "should lie below the data set's folder"),
        ({"folders": {"image": "*/images"}}, r"one \* at most, in its last part"),
        ({"folders": {"image": "masks", "segmentation": "masks"}}, "another folder, not '{split}/masks' to two"),
        ({"folders": {"image": "images/{split}"}, "split": {"by": "hash"}}, "should be without {split}"),
        ({"folders": {"image": "photos"}}, "there is no folder {split}/photos, which .*dataset.yaml names for images"),
        ({"split": "hash"}, "`split` should be as {by: hash, val: 0.2}"),
        ({"split": {"by": "hash", "share": 0.2}}, "`split` should be as"),
        ({"split": {"by": "hash", "val": 1}}, "`val` should be a share from 0 to below 1, not 1"),
        ({"split": {"by": "hash", "val": 0.6, "test": 0.4}}, "should leave images to train on"),
        ({"split": {"by": "hash", "seed": "x"}}, "`seed` should be a whole number"),
        ({"split": {"by": "hash", "group": 3}}, "`group` should be sequence or a regular expression"),
        ({"split": {"by": "hash", "group": "("}}, "`group` should be sequence or a regular expression"),
    ],
)
def test_wrong_entries_are_named(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    root = write(tmp_path, ["images/a.png"], **entries)
    with pytest.raises(UserError, match=message):
        FolderDataset(root, "train")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_training_follows_the_description(tmp_path: Path, elsewhere: bool) -> None:
    names = [f"{kind}/{place}.png" for kind in ("images", "masks") for place in range(9)]
    entries = {"folders": {"image": "images", "segmentation": "masks"}, "split": {"by": "hash", "val": 0.4}}
    root = write(tmp_path / "set", names, **entries)
    words = ["--data.root", str(root)]
    if elsewhere:
        words += ["--data.description", str((root / "dataset.yaml").rename(tmp_path / "described.yaml"))]
    data = run_data(parse_config(words, {}))
    assert len(data.train) + len(data.validation) == 9
    assert len(data.validation) > 0
