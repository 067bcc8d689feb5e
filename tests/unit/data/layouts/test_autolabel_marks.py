"""The entry `autolabels` of a dataset.yaml, and labels that belong to no image."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from mtpsl.augmentation import Augmentation, Rotation
from mtpsl.data.convert import convert_dataset
from mtpsl.data.layouts.folder import FolderDataset
from mtpsl.data.layouts.merged import MergedDataset
from mtpsl.data.partial import PartialDataset, derivable
from mtpsl.data.registry import open_layout, require_layout
from mtpsl.errors import UserError
from mtpsl.structures import Batch

MARK: dict[str, Any] = {
    "folder": "autolabels",
    "run": "first",
    "sha256": "0123456789abcdef",
    "epoch": 3,
    "confidence": {"probability": 0.8},
}


def write(root: Path, **changes: object) -> Path:
    for name in ("a", "b"):
        (root / "train/image").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(root / f"train/image/{name}.png")
    (root / "train/depth").mkdir()
    Image.fromarray(np.full((4, 4), 2000, np.uint16)).save(root / "train/depth/a.png")
    (root / "autolabels/train/depth").mkdir(parents=True)
    for name, value in (("a", 9.0), ("b", 3.0)):
        np.save(root / f"autolabels/train/depth/{name}.npy", np.full((4, 4), value, np.float32))
    mark = {key: x for key, x in {**MARK, **changes}.items() if x is not None}
    content = {"name": "two", "tasks": {"depth": {"scale": 0.001, "missing": 0}}, "autolabels": mark}
    (root / "dataset.yaml").write_text(yaml.safe_dump(content))
    return root


def test_each_label_is_read_as_it_is_stored(tmp_path: Path) -> None:
    data = FolderDataset(write(tmp_path), "train")
    assert data.available.all()
    assert [float(data.read(index, ["depth"]).targets["depth"].mean()) for index in range(2)] == [2.0, 3.0]
    assert data.predicted is not None
    assert data.predicted.tolist() == [[False], [True]]
    assert data.autolabels is not None
    assert data.autolabels.title == "the run first (epoch 3, checkpoint 01234567)"
    assert float(FolderDataset(tmp_path, "train", size=(2, 2)).read(1, ["depth"]).targets["depth"].mean()) == 3.0


def with_normals(root: Path) -> Path:
    content = yaml.safe_load((root / "dataset.yaml").read_text())
    content["tasks"]["normals"] = {"offset": 128, "divisor": 127, "from": "depth"}
    content["camera"] = {"focal": 4, "size": [4, 4]}
    (root / "dataset.yaml").write_text(yaml.safe_dump(content))
    return root


def test_nothing_follows_from_a_predicted_label(tmp_path: Path) -> None:
    root = with_normals(write(tmp_path))
    data = FolderDataset(root, "train")
    assert [*data.tasks] == ["depth", "normals"]
    shown = derivable(data, data.available)
    assert shown.tolist() == [[False, True], [False, False]]  # a has a depth of its own, that of b is predicted
    (root / "train/depth/a.png").unlink()
    data = FolderDataset(root, "train")
    assert data.available.tolist() == [[True, False], [True, False]]
    assert not derivable(data, data.available).any()


@pytest.mark.parametrize("to", ["packed", "shards", "folder"])
def test_a_converted_set_knows_them(tmp_path: Path, to: Literal["packed", "shards", "folder"]) -> None:
    root = with_normals(write(tmp_path / "data", others=[{"run": "second", "sha256": "fedcba9876543210", "epoch": 4}]))
    convert_dataset(root, tmp_path / "out", to=to, progress=False)
    for task in (None, ["depth"]):
        data = open_layout(require_layout(tmp_path / "out"), tmp_path / "out", "train", tasks=task)
        assert data.available[:, 0].tolist() == [True, True]
        assert data.predicted is not None
        assert data.predicted[:, 0].tolist() == [False, True]
        assert data.autolabels == FolderDataset(root, "train").autolabels
    data = open_layout(require_layout(tmp_path / "out"), tmp_path / "out", "train")
    assert derivable(data, data.available).tolist() == [[False, True], [False, False]]
    samples = [PartialDataset(data, data.available)[index] for index in range(2)]
    assert [float(sample.targets["depth"].mean()) for sample in samples] == [2.0, 3.0]
    assert [sample.predicted for sample in samples] == [frozenset(), {"depth"}]


def test_a_merged_set_knows_them(tmp_path: Path) -> None:
    with_normals(write(tmp_path / "filled"))
    convert_dataset(tmp_path / "filled", tmp_path / "other", to="packed", tasks=["depth"], progress=False)
    sources = {"filled": {"root": "filled"}, "other": {"root": "other"}}
    (tmp_path / "merged.yaml").write_text(yaml.safe_dump({"name": "both", "size": [4, 4], "sources": sources}))
    data = MergedDataset(tmp_path, "train")
    assert data.predicted is not None
    assert data.predicted.tolist() == [[False, False], [True, False]] * 2
    assert derivable(data, data.available).tolist() == [[False, True], [False, False], [False, False], [False, False]]


def test_training_sees_which_labels_are_predicted(tmp_path: Path) -> None:
    data = FolderDataset(write(tmp_path), "train")
    partial = PartialDataset(data, data.available)
    for _ in range(2):  # read, and from the cache
        batch = Batch.collate([partial[0], partial[1]], {"depth": data.tasks["depth"].target_spec})
        assert batch.predicted is not None
        assert batch.predicted["depth"].tolist() == [False, True]
    hidden = PartialDataset(data, torch.zeros_like(data.available))
    assert Batch.collate([hidden[1]], {"depth": data.tasks["depth"].target_spec}).predicted is None
    cropped = Augmentation([data.tasks["depth"]])(batch)
    assert cropped.predicted is batch.predicted
    assert Rotation([data.tasks["depth"]], degrees=9)(batch).predicted is batch.predicted


def test_a_derived_label_in_the_place_of_a_hidden_predicted_one_is_none(tmp_path: Path) -> None:
    root = with_normals(write(tmp_path))
    (root / "autolabels/train/normals").mkdir()
    np.save(root / "autolabels/train/normals/a.npy", np.tile(np.float32([0, 0, 1]), (4, 4, 1)))
    data = FolderDataset(root, "train")
    assert data.predicted is not None
    assert data.predicted.tolist() == [[False, True], [True, False]]
    assert PartialDataset(data, data.available)[0].predicted == {"normals"}
    mask = data.available.clone()
    mask[0, 1] = False
    sample = PartialDataset(data, mask)[0]
    assert "normals" in sample.targets  # from a's depth, which was given
    assert not sample.predicted


def test_several_runs_are_all_named(tmp_path: Path) -> None:
    other = {"run": "second", "sha256": "fedcba9876543210", "epoch": 4}
    data = FolderDataset(write(tmp_path, others=[other]), "train")
    assert data.autolabels is not None
    assert (
        data.autolabels.title == "the runs first (epoch 3, checkpoint 01234567), second (epoch 4, checkpoint fedcba98)"
    )


def test_images_that_lie_together_do_too(tmp_path: Path) -> None:
    root = write(tmp_path)
    for name in ("image", "depth"):
        (root / "train" / name).rename(root / name)
    (root / "train").rmdir()
    content = yaml.safe_load((root / "dataset.yaml").read_text())
    (root / "dataset.yaml").write_text(yaml.safe_dump({**content, "split": {"by": "hash", "val": 0.01}}))
    data = FolderDataset(root, "train")
    assert data.predicted is not None
    assert data.predicted.tolist() == [[False], [True]]
    assert not data.files.notes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": None}, "should have the keys"),
        ({"other": 1}, "should have the keys"),
        ({"epoch": "3"}, "`epoch` should be int"),
        ({"folder": "a/b"}, "should be the name of a folder in the data set"),
        ({"others": [{"run": "b", "epoch": 3}]}, "each of `others` should have the keys run, sha256, epoch"),
        ({"others": [{"run": "b", "epoch": "3", "sha256": "01"}]}, "`epoch` of one of `others` is '3'"),
        ({"folder": ".."}, "should be the name of a folder in the data set"),
    ],
)
def test_another_entry_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        FolderDataset(write(tmp_path, **changes), "train")


def test_a_predicted_label_without_an_image_is_a_problem(tmp_path: Path) -> None:
    root = write(tmp_path)
    np.save(root / "autolabels/train/depth/c.npy", np.zeros((4, 4), np.float32))
    with pytest.raises(UserError, match=r"no image belongs to c\.npy"):
        FolderDataset(root, "train")
