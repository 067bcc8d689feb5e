"""Tasks beyond the usual ones through the command line: checked, trained, scored, drawn, predicted, converted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from command import SMALL, write_dataset
from PIL import Image

from folder_sets import assert_same_samples
from mtpsl.cli import main
from mtpsl.data import FolderDataset, PackedDataset

ENTRIES = {
    "signs": {"type": "multilabel", "classes": ["r", "g", "b", "all"], "values": [0, 255]},
    "flow": {"type": "regression", "channels": 2, "vector": "image", "unit": "px"},
    "albedo": {"type": "regression", "channels": 3, "scale": 1 / 255, "range": [0, 1], "loss": "huber"},
}


def write_more(root: Path) -> Path:
    """Labels that follow from the colors, as npy and PNG."""
    data = write_dataset(root, train=3, val=2)
    for picture in sorted(data.glob("*/image/*.png")):
        numbers = np.array(Image.open(picture))
        for task in ENTRIES:
            (picture.parents[1] / task).mkdir(exist_ok=True)
        flow = numbers[..., :2].astype(np.float32) / 20 - 3
        flow[0, 0] = np.nan
        np.save(picture.parents[1] / "flow" / f"{picture.stem}.npy", flow)
        Image.fromarray(numbers).save(picture.parents[1] / "albedo" / picture.name)
        marks = np.uint8(255) * (numbers > 100)
        Image.fromarray(np.dstack([marks, 0 * marks[..., :1] + 255])).save(picture.parents[1] / "signs" / picture.name)
    (data / "dataset.yaml").write_text(yaml.safe_dump({"name": "more", "tasks": ENTRIES}))
    return data


def test_they_are_checked_trained_scored_predicted_and_converted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = write_more(tmp_path / "data"), tmp_path / "run"
    assert main(["check", str(data)]) == 0
    said = capsys.readouterr().out
    assert "max 9.75" in said
    augmented = ["--training.rotation", "10", "--training.flip", "true"]
    assert (
        main(["train", "--data.root", str(data), "--out", str(run), *SMALL, *augmented, "--training.epochs", "1"]) == 0
    )
    scores = json.loads((run / "scores.json").read_text())["scores"]
    assert scores["flow"].keys() == {"abs_err", "rmse", "end_point_err"}
    assert scores["flow"]["end_point_err"]["unit"] == "px"
    assert any((run / "pictures").rglob("*.png"))
    assert main(["predict", str(run), str(data / "val/image"), "--out", str(tmp_path / "out")]) == 0
    assert np.load(tmp_path / "out/flow/000.npy").shape == (32, 64, 2)
    assert np.load(tmp_path / "out/signs/000.npy").shape == (32, 64, 4)
    assert scores["signs"].keys() == {"miou"}
    albedo = np.load(tmp_path / "out/albedo/000.npy")
    assert albedo.min() >= 0
    assert albedo.max() <= 1
    for form, opened in (("packed", PackedDataset), ("folder", FolderDataset)):
        assert main(["convert", str(data), str(tmp_path / form), "--to", form]) == 0
        assert_same_samples(opened(tmp_path / form, "val"), FolderDataset(data, "val"))
