"""What a check says about the labels of the PASCAL tasks, and that a folder set of them converts without loss."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from mtpsl.data import DATASETS, FolderDataset, check_dataset, convert_dataset
from mtpsl.tasks import describe_task

DESCRIPTION = """
name: persons
tasks:
  saliency: {ignore: 7}
  body: {type: human_parts, ignore: 255, absent: zero}
  depth: {inverse: true, missing: nan}
  normals: {loss: l1}
"""


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images: a quarter of the valid pixels is salient, an eighth is a head."""
    folder = tmp_path / "source"
    for split, count in (("train", 2), ("val", 1)):
        for number in range(count):
            write(folder / split / "image" / f"{number}.png", np.full((4, 4, 3), 10 * number, np.uint8))
            saliency = np.full((4, 4), 100, np.uint8)
            saliency[0, :2], saliency[1:, 3] = 7, 200
            saliency[1, 0] = 255 if number else 0
            write(folder / split / "saliency" / f"{number}.png", saliency)
            parts = np.zeros((4, 4), np.uint8)
            parts[0, 0], parts[3, 3], parts[3, 2] = 1, 1, 255
            write(folder / split / "body" / f"{number}.png", parts)
            depth = np.linspace(0, 1.5, 16, dtype=np.float32).reshape(4, 4)
            for task, array in (("depth", depth), ("normals", np.full((4, 4, 3), (0, 0, -1), np.float32))):
                (folder / split / task).mkdir(parents=True, exist_ok=True)
                np.save(folder / split / task / f"{number}.npy", array)
    (folder / "dataset.yaml").write_text(DESCRIPTION)
    return folder


def test_shares_of_what_is_salient_and_of_parts_are_reported(root):
    report = check_dataset(root, progress=False)
    assert report.ok, report.problems
    tasks = report.splits["train"].tasks
    assert tasks["saliency"].values == pytest.approx({"salient": (3 + 4) / (2 * 14)})
    assert tasks["body"].values["head"] == pytest.approx(2 / 15)
    assert tasks["body"].values["torso"] == 0
    assert [task.by_class for task in tasks.values()] == [False, True, False, False]
    console = Console(file=StringIO(), width=80)
    report.print(console)
    text = console.file.getvalue()
    assert "salient 25.0 %" in text
    assert "2 of 7 classes" in text
    assert "body: share of valid pixels" in text
    assert any("no pixel of class torso, upper arm" in note for note in report.notes)
    # an inverse depth of zero is infinitely far, which is known
    assert not any("depth 0" in note for note in report.notes)


def test_a_threshold_that_fits_other_numbers_is_noted(root):
    description = root / "other.yaml"
    description.write_text("name: persons\ntasks: {saliency: {threshold: 255}}")
    notes = check_dataset(root, description, progress=False).notes
    refused = "Training on such labels alone is refused"
    assert f"train/saliency: no salient pixel at all: should `threshold` be lower? {refused}" in notes


@pytest.mark.parametrize("form", ["folder", "packed"])
def test_such_a_set_converts_without_loss(root, tmp_path, form):
    out = tmp_path / "out"
    convert_dataset(root, out, to=form, progress=False)
    source, converted = FolderDataset(root, "train"), DATASETS[form](out, "train")
    assert [describe_task(task) for task in converted.tasks.values()] == [
        describe_task(task) for task in source.tasks.values()
    ]
    for index in range(2):
        one, other = source[index], converted[index]
        for task in source.tasks:
            assert torch.equal(one.targets[task], other.targets[task])
            assert torch.equal(one.valid[task], other.valid[task])
