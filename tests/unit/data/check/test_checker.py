"""The check of a whole data set."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from builders import SHARED, needs_shared
from folder_sets import write_folder_set
from mtpsl.data import FolderDataset, check_dataset, convert_dataset
from mtpsl.data.formats import FORMATS, DepthFormat
from mtpsl.errors import UserError
from mtpsl.tasks import TASKS, Depth, Task

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
    *lines, command = text.splitlines()  # a command to copy is one line
    assert command == f"next: mtpsl train --data.root {root} --out runs/first"
    assert max(map(len, lines)) <= max(80, len(str(root)) + 20)
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
    assert "train: 1 of 11 images have no label of any task: training skips them" in notes
    assert "train: images of 2 sizes: train with a size to resize to, as --data.size 8,12" in notes
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


def combinations(report) -> dict[str, dict[str, int]]:
    return {name: split.combinations for name, split in report.splits.items()}


def test_it_ends_with_the_combinations_of_labels_and_the_command_to_train(root):
    for number in range(4):
        (root / f"train/normals/{number}.png").unlink()
    for task in ("segmentation", "depth", "normals", "edges"):
        (root / f"val/{task}/1.png").unlink()
    report = check_dataset(root, progress=False)
    everything = "segmentation + depth + normals + edges"
    assert combinations(report) == {
        "train": {everything: 6, "segmentation + depth + edges": 4},
        "val": {everything: 2, "none": 1},
    }
    assert [sum(column.values()) for column in combinations(report).values()] == [10, 3]
    assert "val: 1 of 3 images have no label of any task: they do not count in scores" in report.notes
    table = printed(report).split("labels of an image")[1].splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table if line.startswith("│")]
    assert rows == [[everything, "6", "2"], ["segmentation + depth + edges", "4", "0"], ["none", "0", "1"]]
    assert table[-1] == f"next: mtpsl train --data.root {root} --out runs/first"
    assert json.loads(json.dumps(report.to_dict()))["splits"]["val"]["combinations"] == {everything: 2, "none": 1}


def test_many_combinations_are_summed_up(root):
    report = check_dataset(root, progress=False)
    report.splits["train"].combinations = {str(number): 100 - number for number in range(20)}
    text = printed(report)
    assert "5 other combinations │ 330 │ 3 │" in " ".join(text.split())


def test_the_command_has_what_training_needs(root, tmp_path):
    """Sizes that differ, splits of other names, a layout or description that was named, some of the tasks."""
    write(root / "val/image/0.png", np.zeros((70, 90, 3), np.uint8))
    for task in ("segmentation", "depth", "normals", "edges"):
        (root / f"val/{task}/0.png").unlink()
    (root / "val").rename(root / "test")
    (root / "train").rename(root / "Train")
    (root / "dataset.yaml").rename(root / "other file.yaml")
    report = check_dataset(root, root / "other file.yaml", tasks=["depth", "edges"], progress=False)
    assert report.next == (
        f"mtpsl train --data.root {root} --data.description '{root}/other file.yaml' --data.tasks depth,edges "
        "--data.val_split test --data.size 8,12 --out runs/first"
    )
    shutil.rmtree(root / "test")
    report = check_dataset(root, root / "other file.yaml", progress=False)
    assert report.next == f"there is no split to compute scores on: put images into {root}/val"


def test_validation_images_of_another_size_are_noted_and_the_command_resizes(root):
    for number in range(3):
        write(root / f"val/image/{number}.png", np.zeros((70, 90, 3), np.uint8))
        for task in ("segmentation", "depth", "normals", "edges"):
            (root / f"val/{task}/{number}.png").unlink()
    report = check_dataset(root, progress=False)
    assert (
        "val: images of another size than those of train: train with a size to resize to, as --data.size 70,90"
        in report.notes
    )
    assert "--data.size 70,90" in report.next


def test_pictures_that_are_turned_upright_are_counted(root):
    """Orientation 3 keeps the size, so nothing else can notice masks that were drawn on the stored pixels."""
    exif = Image.Exif()
    exif[0x0112] = 3
    for number in (2, 5, 7):
        Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(root / f"train/image/{number}.png", exif=exif)
    report = check_dataset(root, progress=False)
    assert report.ok
    assert {name: split.turned for name, split in report.splits.items()} == {"train": 3, "val": 0}
    (note,) = [note for note in report.notes if "EXIF" in note]
    assert note.startswith("train: 3 of 10 images are turned upright as their EXIF entry says: their labels should be")
    (root / "merged").mkdir()
    (root / "merged/mine.yaml").write_text("size: [8, 12]\nsources: {one: {root: ..}}")
    merged = check_dataset(root / "merged/mine.yaml", progress=False)
    assert merged.splits["train"].turned == 3


def test_links_to_nothing_are_problems_wherever_they_lie(root, tmp_path):
    lost = tmp_path / "lost"
    for name in ("train/image/1.png", "train/segmentation/2.png", "val/depth", "test"):
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(lost)
    report = check_dataset(root, progress=False)
    assert not report.ok
    for name in ("test", "train/image: links to nothing: 1.png", "train/segmentation: links to nothing: 2.png"):
        assert any(problem.startswith(f"{root / name}") for problem in report.problems), name
    assert f"{root}/val/depth: is a link to nothing ({lost}): mend or remove it" in report.problems


def test_what_is_passed_over_is_counted(root):
    (root / "train/image/notes.txt").write_text("measured in May")
    (root / "train/depth/a.log").write_text("")
    (root / "train/depth/b.log").write_text("")
    write(root / "val/deph/0.png", np.zeros((8, 12), np.uint8))
    (root / "val/.cache").mkdir()
    for tasks in (None, ["depth"]):
        report = check_dataset(root, tasks=tasks, progress=False)
        assert report.ok
        assert {note for note in report.notes if "passed over" in note} == {
            f"{root}/train/image: 1 file passed over: notes.txt",
            f"{root}/train/depth: 2 files passed over: a.log, b.log",
            f"{root}/val: passed over, since the description has no such task: deph",
        }


def test_a_folder_that_lacks_something_is_told_what(tmp_path):
    def complaint() -> str:
        with pytest.raises(UserError) as caught:
            check_dataset(tmp_path, progress=False)
        return str(caught.value)

    assert f"data of your own needs {tmp_path}/dataset.yaml, and images should lie in <split>/image" in complaint()
    (tmp_path / "dataset.yaml").write_text(DESCRIPTION)
    assert f"there is no split in it: data of your own needs {tmp_path}/dataset.yaml" in complaint()
    (tmp_path / "train/images").mkdir(parents=True)
    assert f"rename {tmp_path}/train/images to {tmp_path}/train/image" in complaint()
    (tmp_path / "image").mkdir()
    assert f"move {tmp_path}/image and the folders of labels beside it into a split, {tmp_path}/train" in complaint()
    (tmp_path / "image").rmdir()
    (tmp_path / "dataset.yaml").unlink()
    (tmp_path / "train/images").rename(tmp_path / "train/image")
    (tmp_path / "train/edges").mkdir()
    (tmp_path / "train/segmentation").mkdir()
    assert "write one, as `name: mine` and `tasks: {edges: {}, segmentation: {classes: 3}}`" in complaint()


@dataclass(frozen=True)
class HeightFormat(DepthFormat):
    """A kind of label that came later: its task descends from depth."""

    kind = "height"

    def task(self, name: str) -> Task:
        return Height(name)


class Height(Depth):
    """Above ground."""


def test_a_task_that_was_added_later_can_be_checked(root, monkeypatch):
    monkeypatch.setitem(FORMATS, "height", HeightFormat)
    monkeypatch.setitem(TASKS, "height", Height)
    (root / "dataset.yaml").write_text(DESCRIPTION.replace("  depth: {", "  depth: {type: height, "))
    report = check_dataset(root, progress=False)
    assert report.splits["train"].tasks["depth"].type == "height"
    assert report.splits["train"].tasks["depth"].values["max"] == pytest.approx(9.95)
    assert "max 9.95" in printed(report)


@needs_shared
def test_the_shared_photographs_have_the_published_class_shares():
    description = Path(__file__).parents[4] / "benchmarks/data/camvid.yaml"
    report = check_dataset(SHARED / "data/camvid", description, progress=False)
    assert report.ok
    segmentation = report.splits["train"].tasks["segmentation"]
    shares = {name: 100 * share * segmentation.valid_share for name, share in segmentation.values.items()}
    expected = [16.8, 23.3, 1.0, 31.7, 4.5, 9.7, 1.2, 1.1, 5.9, 0.6, 0.3]
    assert [*shares.values()] == pytest.approx(expected, abs=0.06)
    assert 100 * segmentation.valid_share == pytest.approx(100 - 3.9, abs=0.06)
