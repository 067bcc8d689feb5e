"""A killed run continues and ends with the scores of an uninterrupted one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import SMALL, mtpsl, write_dataset

OPTIONS = ["--data.regime", "one", "--training.epochs", "4", "--objective.views", "2", *SMALL]


def scores(run: Path) -> dict[str, object]:
    return json.loads((run / "scores.json").read_text())["scores"]


@pytest.mark.parametrize("wait", ["while writing", "after a checkpoint"])
def test_a_killed_run_ends_with_the_same_scores(tmp_path: Path, wait: str) -> None:
    data = write_dataset(tmp_path / "data")
    whole = mtpsl("train", "--data.root", data, "--out", tmp_path / "whole", *OPTIONS)
    assert whole.returncode == 0, whole.stderr
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "mtpsl", "train", "--data.root", str(data), "--out", str(killed), *OPTIONS],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoints = killed / "checkpoints"
    appeared = "unfinished.ckpt" if wait == "while writing" else "last.ckpt"
    deadline = time.monotonic() + 120
    while not (checkpoints / appeared).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = mtpsl("train", "--resume", killed, "--quiet")
    assert resumed.returncode == 0, resumed.stderr
    assert scores(killed) == scores(tmp_path / "whole")
    rows = (killed / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2", "3", "4"]


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    options = ["--training.epochs", "1", *SMALL]
    assert mtpsl("train", "--data.root", data, "--out", tmp_path / "run", *options).returncode == 0
    before = scores(tmp_path / "run")
    again = mtpsl("train", "--resume", tmp_path / "run", "--quiet")
    assert again.returncode == 0, again.stderr
    assert scores(tmp_path / "run") == before
