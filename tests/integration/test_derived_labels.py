"""Training on labels that follow from others, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from command import SMALL, write_dataset

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


def test_a_camera_of_other_images_is_one_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = data / "dataset.yaml"
    path.write_text(path.read_text().replace("- 32\n", "- 48\n"))
    assert train("--data.root", data, *QUICK, "--out", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "the camera is that of images of 48x64 (height x width)" in said
    assert not (tmp_path / "run").exists()
