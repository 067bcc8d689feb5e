"""Balanced class weights become numbers when a run begins, and are not counted again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command import SMALL, write_dataset
from PIL import Image

from mtpsl import load
from mtpsl.cli import main
from mtpsl.training import class_balance


def tasks_of(run: Path) -> dict[str, dict[str, object]]:
    return {task["name"]: task for task in json.loads((run / "tasks.json").read_text())}


def test_balanced_weights_are_counted_once_in_the_labels_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = write_dataset(tmp_path / "data"), tmp_path / "run"
    content = yaml.safe_load((data / "dataset.yaml").read_text())
    content["tasks"]["segmentation"] |= {"class_weights": "balanced", "label_smoothing": 0.05, "dice": 0.5}
    content["tasks"]["depth"] |= {"loss": "silog", "gradient": 0.5}
    (data / "dataset.yaml").write_text(yaml.safe_dump(content))
    used = tmp_path / "used.yaml"  # three of six images show their classes
    first, rest = ["000", "001", "002"], ["003", "004", "005"]
    labels = {"segmentation": first, "depth": rest, "normals": rest}
    used.write_text(yaml.safe_dump(labels))
    for hidden in range(3, 6):
        (data / f"train/segmentation/{hidden:03}.png").write_bytes(b"broken")  # never read
    words = ["--data.root", str(data), "--data.regime", "file", "--data.labels", str(used)]
    assert main(["train", *words, "--out", str(run), *SMALL, "--training.epochs", "1"]) == 0
    stored = np.concatenate([np.asarray(Image.open(data / f"train/segmentation/{i:03}.png")).ravel() for i in range(3)])
    counts = np.bincount(stored, minlength=3)
    weights = tasks_of(run)["segmentation"]["class_weights"]
    assert weights == pytest.approx((counts.sum() / (3 * counts)).tolist())
    assert tasks_of(run)["depth"] | {"loss": "silog", "gradient": 0.5} == tasks_of(run)["depth"]

    def refuse(tasks: object, train: object) -> dict[str, torch.Tensor]:
        assert not tasks
        return {}

    monkeypatch.setattr(class_balance, "count_classes", refuse)
    assert main(["train", "--resume", str(run), "--training.epochs", "2", "--quiet"]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert tasks_of(run)["segmentation"]["class_weights"] == weights
    assert {task.name: task.options() for task in load(run).tasks}["segmentation"]["dice"] == 0.5

    content["tasks"]["segmentation"]["class_weights"] = [1, 2]
    (data / "dataset.yaml").write_text(yaml.safe_dump(content))
    capsys.readouterr()
    assert main(["train", *words, "--out", str(tmp_path / "other"), *SMALL]) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    assert f"{data}/dataset.yaml: task 'segmentation': `class_weights` should have 3 numbers" in said
    assert not (tmp_path / "other").exists()
