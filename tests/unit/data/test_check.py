"""The check of a whole data set."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from builders import SHARED, needs_shared
from folder_sets import write_folder_set
from mtpsl.data import FolderDataset, check_dataset, convert_dataset
from mtpsl.errors import UserError

DESCRIPTION = """
name: "[small]"
tasks:
  segmentation: {classes: [floor, wall, box], ignore: 255}
  depth: {scale: 0.001, missing: 0}
  normals: {offset: 128, divisor: 127}
  edges: {ignore: 255}
"""


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten training and three validation images with every label."""
    for split, count in (("train", 10), ("val", 3)):
        for number in range(count):
            name = f"{number}.png"
            write(tmp_path / split / "image" / name, np.full((8, 12, 3), 10 * number, np.uint8))
            classes = np.zeros((8, 12), np.uint8)
            classes[:2], classes[2:4] = 255, 1
            write(tmp_path / split / "segmentation" / name, classes)
            depth = np.arange(96, dtype=np.uint16).reshape(8, 12) * 10 + 1000 * number
            write(tmp_path / split / "depth" / name, depth)
            write(tmp_path / split / "normals" / name, np.full((8, 12, 3), (128, 255, 128), np.uint8))
            write(tmp_path / split / "edges" / name, np.eye(8, 12, dtype=np.uint8))
    (tmp_path / "dataset.yaml").write_text(DESCRIPTION)
    return tmp_path


def printed(report) -> str:
    console = Console(file=StringIO(), width=80)
    report.print(console)
    return console.file.getvalue()


def test_a_sound_set_is_ok_and_counted(root):
    report = check_dataset(root, progress=False)
    assert report.ok
    assert {name: split.images for name, split in report.splits.items()} == {"train": 10, "val": 3}
    train = report.splits["train"]
    assert train.sizes == {"8x12": 10}
    assert train.tasks["segmentation"].labels == 10
    assert train.tasks["segmentation"].label_share == 1
    assert train.tasks["segmentation"].valid_share == 0.75
    assert train.tasks["segmentation"].values == pytest.approx({"floor": 2 / 3, "wall": 1 / 3, "box": 0})
    assert train.tasks["edges"].values == pytest.approx({"boundary": 1 / 12})
    assert train.tasks["depth"].valid_share == pytest.approx(1 - 1 / 960)
    stored = (np.arange(96) * 10 + 1000 * np.arange(10)[:, None]).ravel() / 1000
    stored = stored[stored > 0]
    values = train.tasks["depth"].values
    assert values["min"] == pytest.approx(stored.min())
    assert values["max"] == pytest.approx(stored.max())
    assert values["median"] == pytest.approx(np.median(stored), rel=2e-3)
    assert "train/segmentation: no pixel of class box" in report.notes


def test_the_report_can_be_printed_and_stored(root):
    report = check_dataset(root, progress=False)
    text = printed(report)
    for part in (
        "[small]",
        "looks like folder: Folders of images and labels",
        "train",
        "10 of",
        "8x12",
        "segmentation",
        "75.0 %",
        "66.7 %",
        "median",
        "boundary 8.3 %",
        "ok",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= max(80, len(str(root)) + 20)
    stored = json.loads(json.dumps(report.to_dict()))
    assert stored["ok"]
    assert stored["splits"]["val"]["tasks"]["depth"]["labels"] == 3


def test_all_problems_are_collected_with_their_files(root):
    (root / "train/image/0.png").write_bytes(b"broken")
    write(root / "train/segmentation/1.png", np.full((8, 12), 7, np.uint8))
    write(root / "train/segmentation/2.png", np.zeros((12, 8), np.uint8))
    np.save(root / "val/depth/9.npy", np.full((8, 12), -1.0))
    (root / "val/depth/1.png").unlink()
    np.save(root / "val/depth/1.npy", np.full((8, 12), np.nan))
    write(root / "val/normals/0.png", np.full((8, 12, 3), 250, np.uint8))
    write(root / "val/edges/0.png", np.full((8, 12), 3, np.uint8))
    report = check_dataset(root, progress=False)
    assert not report.ok
    assert len(report.problems) == 7
    found = "\n".join(report.problems)
    names = "train/image/0.png segmentation/1.png segmentation/2.png 9.npy depth/1.npy normals/0.png edges/0.png"
    for name in names.split():
        assert name in found
    assert report.splits["train"].tasks["segmentation"].labels == 10
    text = printed(report)
    assert text.count("problem ") == 7
    assert "every file can be read" not in text


def test_at_most_so_many_problems_of_a_kind_are_listed(root):
    for number in range(10):
        write(root / f"train/edges/{number}.png", np.full((8, 12), 3, np.uint8))
    write(root / "train/depth/3.png", np.ones((1, 1), np.uint8))
    report = check_dataset(root, progress=False, limit=4)
    assert len(report.problems) == 5
    assert report.hidden == {"train/edges": 6}
    assert "train/edges: 6 more" in printed(report)


def test_suspicious_things_are_noted(root):
    for number in range(3):
        write(root / f"val/edges/{number}.png", np.eye(8, 12, dtype=np.uint8) * 255)
        (root / f"val/normals/{number}.png").unlink()
    write(root / "val/segmentation/0.png", np.full((8, 12), 255, np.uint8))
    write(root / "train/image/extra.png", np.zeros((6, 6, 3), np.uint8))
    notes = "\n".join(check_dataset(root, progress=False).notes)
    assert "val/edges: no boundary pixel at all" in notes
    assert "val/normals: no label" in notes
    assert "val/segmentation: 1 labels without any valid pixel" in notes
    assert "train: 1 of 11 images have no label" in notes
    assert "train: images of 2 sizes" in notes
    assert "2 sizes" not in "\n".join(check_dataset(root, size=(4, 6), progress=False).notes)
    (root / "dataset.yaml").write_text(DESCRIPTION.replace("missing: 0", "missing: 65535"))
    assert "train/depth: depth 0 m at 1 valid pixels" in "\n".join(check_dataset(root, progress=False).notes)


def test_a_missing_set_or_description_is_an_error(root, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        check_dataset(tmp_path / "absent", progress=False)
    (root / "dataset.yaml").unlink()
    with pytest.raises(UserError, match="no such description"):
        check_dataset(root, progress=False)


def test_every_layout_is_recognized_and_read(tmp_path):
    write_folder_set(tmp_path / "rooms")
    convert_dataset(tmp_path / "rooms", tmp_path / "packed", progress=False)
    (tmp_path / "merged.yaml").write_text("size: [8, 16]\nsources: {rooms: {root: rooms}, again: {root: packed}}")
    folder = check_dataset(tmp_path / "rooms", progress=False)
    packed = check_dataset(tmp_path / "packed", progress=False)
    merged = check_dataset(tmp_path / "merged.yaml", progress=False)
    assert [one.layout for one in (folder, packed, merged)] == ["folder", "packed", "merged"]
    assert all(one.ok for one in (folder, packed, merged))
    assert folder.splits == packed.splits
    for split, report in merged.splits.items():
        assert report.images == 2 * folder.splits[split].images
    with pytest.raises(UserError, match="none of the known layouts"):
        check_dataset(tmp_path / "rooms/train/image", progress=False)
    with pytest.raises(UserError, match=r"it looks like a packed data set: name that layout, or none"):
        check_dataset(tmp_path / "packed", name="folder", progress=False)


def test_the_number_of_images_is_compared_with_the_published_one(root, monkeypatch):
    monkeypatch.setattr(FolderDataset, "published", {"train": 10, "val": 7})
    notes = check_dataset(root, progress=False).notes
    assert "train: 10 images, as published" in notes
    assert "val: 3 images, but 7 published" in notes


def test_a_split_that_cannot_be_opened_is_a_problem_and_the_others_are_read(tmp_path):
    write_folder_set(tmp_path / "rooms")
    convert_dataset(tmp_path / "rooms", tmp_path / "packed", progress=False)
    (tmp_path / "packed/val.pack").write_bytes(b"")
    report = check_dataset(tmp_path / "packed", progress=False)
    assert [*report.splits] == ["train"]
    assert len(report.problems) == 1
    assert "val.pack: should have" in report.problems[0]


def test_splits_may_have_different_tasks(tmp_path):
    for split, folders in {"train": ("image", "label", "depth", "normal"), "val": ("image", "depth", "normal")}.items():
        for name in folders:
            (tmp_path / split / name).mkdir(parents=True)
            shape = {"image": (4, 6, 3), "label": (4, 6), "depth": (4, 6, 1), "normal": (4, 6, 3)}[name]
            np.save(tmp_path / split / name / "0.npy", np.zeros(shape))
    report = check_dataset(tmp_path, progress=False)
    assert report.layout == "nyuv2"
    assert [[*split.tasks] for split in report.splits.values()] == [
        ["segmentation", "depth", "normals"],
        ["depth", "normals"],
    ]
    assert "segmentation: share" in printed(report)
    assert [*check_dataset(tmp_path, tasks=["depth"], progress=False).splits["train"].tasks] == ["depth"]


def test_a_converted_set_whose_source_changed_is_noted(tmp_path):
    write_folder_set(tmp_path / "rooms")
    convert_dataset(tmp_path / "rooms", tmp_path / "packed", progress=False)
    assert not any("changed" in note for note in check_dataset(tmp_path / "packed", progress=False).notes)
    (tmp_path / "rooms/train/depth/001.png").unlink()
    notes = check_dataset(tmp_path / "packed", progress=False).notes
    assert len([note for note in notes if "rooms, which has changed since" in note]) == 1


@needs_shared
def test_the_shared_photographs_have_the_published_class_shares():
    description = Path(__file__).parents[3] / "benchmarks/data/camvid.yaml"
    report = check_dataset(SHARED / "data/camvid", description, progress=False)
    assert report.ok
    segmentation = report.splits["train"].tasks["segmentation"]
    shares = {name: 100 * share * segmentation.valid_share for name, share in segmentation.values.items()}
    expected = [16.8, 23.3, 1.0, 31.7, 4.5, 9.7, 1.2, 1.1, 5.9, 0.6, 0.3]
    assert [*shares.values()] == pytest.approx(expected, abs=0.06)
    assert 100 * segmentation.valid_share == pytest.approx(100 - 3.9, abs=0.06)
