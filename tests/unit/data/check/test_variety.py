"""Training labels that are all alike are refused before training, at next to no cost; `check` notes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from mtpsl.data import FolderDataset, check_dataset
from mtpsl.data.check.variety import require_variety
from mtpsl.data.partial import PartialDataset
from mtpsl.errors import UserError

SIZE = (32, 64)
HALF = np.zeros(SIZE, np.uint8)
HALF[:, 32:] = 1


def write_set(root: Path, task: str, labels: list[np.ndarray], entry: dict[str, object]) -> Path:
    for split in ("train", "val"):
        for number, label in enumerate(labels):
            for kind, array in (("image", np.full((*SIZE, 3), 40 * number, np.uint8)), (task, label)):
                path = root / split / kind / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(path)
    (root / "dataset.yaml").write_text(yaml.safe_dump({"name": "alike", "tasks": {task: entry}}))
    return root


def training_part(root: Path) -> PartialDataset:
    dataset = FolderDataset(root, "train")
    return PartialDataset(dataset, dataset.available)


ALIKE = [
    ("segmentation", 255 * HALF, {"classes": ["bg", "fg"], "ignore": 255}, "no pixel of another class than bg"),
    ("segmentation", 0 * HALF + 1, {"classes": ["bg", "fg"]}, "no pixel of another class than fg"),
    ("human_parts", 255 * HALF, {"ignore": 255}, "no pixel of another class than background"),
    ("edges", 255 * HALF, {"ignore": 255}, "no boundary pixel at all: is the number that marks one among `ignore`?"),
    ("edges", 255 * HALF, {"values": [255, 7], "ignore": 0}, "no boundary pixel at all"),
    ("edges", 0 * HALF + 1, {}, "no pixel that is not boundary"),
    ("saliency", HALF, {"threshold": 127.5}, "no salient pixel at all: should `threshold` be lower?"),
    ("saliency", 200 + HALF, {}, "no pixel that is not salient: should `threshold` be higher?"),
    ("multilabel", 0 * HALF, {"classes": ["wet"]}, "every known pixel has no class"),
    ("multilabel", 0 * HALF + 1, {"classes": ["wet"]}, "every known pixel has all classes"),
    ("segmentation", HALF, {"classes": 2, "ignore": [0, 1]}, "no known pixel at all"),
    ("depth", HALF, {"missing": [0, 1]}, "no known pixel at all: is everything among `ignore` or `missing`?"),
]


@pytest.mark.parametrize(("task", "label", "entry", "message"), ALIKE)
def test_labels_that_are_all_alike_are_refused_and_noted(tmp_path, task, label, entry, message):
    root = write_set(tmp_path / "data", task, [label] * 2, entry)
    with pytest.raises(UserError) as caught:
        require_variety(training_part(root))
    assert message in str(caught.value)
    assert f"task {task!r} has nothing to learn in its 2 training labels" in str(caught.value)
    notes = "\n".join(check_dataset(root, progress=False).notes)
    assert (message in notes and "Training on such labels alone is refused" in notes) or "without any valid" in notes


@pytest.mark.parametrize(
    ("task", "other", "entry"),
    [
        ("segmentation", 1 + 0 * HALF, {"classes": 2}),
        ("edges", HALF, {}),
        ("saliency", 255 * HALF, {}),
        ("depth", HALF, {}),
    ],
)
def test_one_other_label_is_enough(tmp_path, task, other, entry):
    labels = [0 * HALF] * 4
    root = write_set(tmp_path / "data", task, labels, entry)
    with pytest.raises(UserError):
        require_variety(training_part(root))
    write_set(root, task, [*labels[:3], other], entry)
    require_variety(training_part(root))


def test_a_good_data_set_is_hardly_read(tmp_path, monkeypatch):
    root = write_set(tmp_path / "data", "segmentation", [HALF] * 6, {"classes": 2})
    read: list[int] = []
    original = FolderDataset.read
    monkeypatch.setattr(FolderDataset, "read", lambda self, row, names: read.append(row) or original(self, row, names))
    require_variety(training_part(root))
    assert len(read) == 1


def test_labels_that_are_hidden_do_not_count(tmp_path):
    root = write_set(tmp_path / "data", "segmentation", [0 * HALF, HALF], {"classes": 2})
    dataset = FolderDataset(root, "train")
    hidden = dataset.available.clone()
    hidden[1] = False
    with pytest.raises(UserError, match="in its 1 training labels"):
        require_variety(PartialDataset(dataset, hidden))
