"""Training on labels that follow from others, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from command import SMALL, write_dataset
from PIL import Image

from mtpsl.cli import main

QUICK = [word if word != "cross_task" else "supervised" for word in SMALL]
QUICK = [word for place, word in enumerate(QUICK) if "mapping" not in word and "mapping" not in QUICK[place - 1]]
CAMERA = {"focal": 60, "size": [32, 64]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Normals follow from depth, and no image has any of its own."""
    root = write_dataset(tmp_path / "data", train=4, val=2)
    for split in ("train", "val"):
        shutil.rmtree(root / split / "normals")
    path = root / "dataset.yaml"
    described = yaml.safe_load(path.read_text())
    described["tasks"]["normals"] = {"from": "depth", "camera": CAMERA}
    path.write_text(yaml.safe_dump(described, sort_keys=False))
    return root


def train(*words: object) -> int:
    return main(["train", *map(str, words)])


def test_a_task_whose_labels_all_follow_from_others_trains_scores_and_resumes(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    start = ["--data.root", data, *QUICK, "--data.regime", "one", "--training.epochs"]
    assert train(*start, 2, "--out", tmp_path / "whole") == 0
    said = capsys.readouterr().err
    assert "normals of 2 of 4 training images follow from their depth" in said
    assert "validation images have no normals: scores of normals compare with what follows from their depth" in said
    scores = json.loads((tmp_path / "whole" / "scores.json").read_text())["scores"]
    assert scores["normals"]["mean_err"]["value"] is not None
    assert train(*start, 1, "--training.schedule", "constant", "--out", tmp_path / "part") == 0
    assert train("--resume", tmp_path / "part", "--training.epochs", 2, "--quiet") == 0
    assert main(["evaluate", str(tmp_path / "part")]) == 0
    described = yaml.safe_load((data / "dataset.yaml").read_text())
    del described["tasks"]["edges" if "edges" in described["tasks"] else "normals"]["from"]
    described["tasks"]["normals"].pop("camera")
    (data / "dataset.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    assert train("--resume", tmp_path / "part", "--training.epochs", 3, "--quiet") == 2


def test_a_single_task_run_sees_what_follows_from_labels_of_other_tasks(data: Path, tmp_path: Path):
    words = ["--data.root", data, *QUICK, "--data.regime", "one", "--tasks", "[normals]", "--training.epochs", 1]
    assert train(*words, "--out", tmp_path / "run") == 0
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    value = json.loads((tmp_path / "run" / "scores.json").read_text())["scores"]["normals"]["mean_err"]["value"]
    assert 0 < value < 180


def test_a_stopped_run_goes_on_with_the_same_labels(data: Path, tmp_path: Path):
    words = ["--data.root", data, *QUICK, "--data.regime", "one", "--training.schedule", "constant"]
    assert train(*words, "--training.epochs", 2, "--out", tmp_path / "whole") == 0
    assert train(*words, "--training.epochs", 1, "--out", tmp_path / "part") == 0
    assert train("--resume", tmp_path / "part", "--training.epochs", 2, "--quiet") == 0
    states = [
        torch.load(tmp_path / run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in ("whole", "part")
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no camera": ({"from": "depth"}, "normals from depth need a `camera`, as {focal: 500, size: [480, 640]}"),
    "a focal length of zero": (
        {"from": "depth", "camera": {**CAMERA, "focal": 0}},
        "`focal` should be positive lengths in pixels, not 0 and 0",
    ),
    "the camera of other images": (
        {"from": "depth", "camera": {**CAMERA, "size": [48, 64]}},
        "the camera is that of images of 48x64 (height x width), which those of 32x64 are no other size of",
    ),
    "a task that the set lacks": (
        {"from": "disparity", "camera": CAMERA},
        "`from` should name one of the tasks depth, normals, segmentation, not 'disparity'",
    ),
    "a table that is not there": (
        {"from": "depth", "camera": {**CAMERA, "file": "views.csv", "name": "id"}},
        "views.csv: cannot be read as the table of cameras",
    ),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("command", ["train", "check", "convert"])
def test_a_wrong_relation_is_one_line(
    command: str, case: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    entry, said = WRONG[case]
    path, out = data / "dataset.yaml", tmp_path / "out"
    described = yaml.safe_load(path.read_text())
    described["tasks"]["normals"] = entry
    path.write_text(yaml.safe_dump(described, sort_keys=False))
    words = {
        "train": ["train", "--data.root", str(data), *QUICK, "--out", str(out)],
        "check": ["check", str(data)],
        "convert": ["convert", str(data), str(out)],
    }
    assert main(words[command]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_one_image_of_another_shape_than_the_camera_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for kind, mode in (("image", "RGB"), ("depth", "I;16"), ("segmentation", "L")):
        Image.new(mode, (48, 48), 1).save(data / "train" / kind / "002.png")
    words = ["--data.root", data, *QUICK, "--data.size", "16,32", "--out", tmp_path / "out"]
    assert train(*words) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note")]
    assert len(error) == 1
    assert "normals of image '002': the camera is that of images of 32x64 (height x width)" in error[0]
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
