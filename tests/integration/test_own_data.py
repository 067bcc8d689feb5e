"""Data of one's own as a new user has it: `check`, then the command that it ends with, then pictures."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from command import write_dataset

from mtpsl.cli import main
from mtpsl.training.config import read_config


def test_the_command_that_a_check_ends_with_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sides that no stride divides, images without any label, splits of other names, a picture in a sub-folder."""
    data = write_dataset(tmp_path / "my data", train=7, val=2, size=(40, 72))
    (data / "train").rename(data / "Train")
    (data / "val").rename(data / "validation")
    for task in ("segmentation", "depth", "normals"):
        (data / "Train" / task / "001.png").unlink()
        (data / "Train" / task / "kitchen").mkdir()
        (data / "Train" / task / "005.png").rename(data / "Train" / task / "kitchen/005.png")
    (data / "Train/image/kitchen").mkdir()
    (data / "Train/image/005.png").rename(data / "Train/image/kitchen/005.png")
    monkeypatch.chdir(tmp_path)
    assert main(["check", "my data"]) == 0
    command = capsys.readouterr().out.splitlines()[-1].removeprefix("next: ")
    assert command == "mtpsl train --data.root 'my data' --out runs/first"
    assert main([*shlex.split(command)[1:], "--training.epochs", "2", "--training.sheets", "1"]) == 0
    said = capsys.readouterr().err
    assert "training.batch_size 2: for 6 training images\n" in said
    config = read_config(tmp_path / "runs/first/config.yaml")
    assert (config.network, config.network_options["weights"]) == ("encoder_decoder", "package")
    assert (config.objective, config.training.batch_size, config.training.optimizer) == ("supervised", 2, "adamw")
    assert "note 1 of 7 training images have no label of any task and are skipped" in said
    assert said.count("expected: about") == 1
    assert said.count("more steps (2 epochs)") == 1
    assert json.loads((tmp_path / "runs/first/scores.json").read_text())["epoch"] == 2
    assert main(["predict", "runs/first", "my data/Train", "--out", "predictions"]) == 0
    assert (tmp_path / "predictions/depth/image/kitchen/005.npy").is_file()
