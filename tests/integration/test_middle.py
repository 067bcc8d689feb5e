"""A run that is asked to end in the middle of an epoch, or killed there, goes on in the very batch."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command import SMALL, write_dataset

from mtpsl.cli import main
from mtpsl.data import convert_dataset
from mtpsl.training.middle import MiddleCheckpoint
from mtpsl.training.module import TrainingModule
from mtpsl.training.run_folder import RunFolder

CASES = {
    "supervised": ["--objective.name", "supervised", "--training.schedule", "cosine", "--training.warmup", "0.2"],
    "cross_task": ["--objective.extensions.balance", "true", "--objective.extensions.pairs", "auto"],
    "mean_teacher": ["--objective.name", "mean_teacher", "--training.ema", "0.9"],
    "dwa": ["--objective.name", "supervised", "--weighting.name", "dwa", "--data.workers", "2"],
    "shards": ["--objective.name", "supervised", "--data.cache", "none", "--data.window", "2", "--data.workers", "1"],
    "accumulate": ["--objective.name", "supervised", "--training.accumulate", "2", "--data.epoch_images", "all"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_dataset(tmp_path_factory.mktemp("data") / "small", train=12, val=2, size=(32, 32))
    convert_dataset(root, root.parent / "shards", to="shards", shard_mb=0.02, progress=False)
    assert len([*(root.parent / "shards").glob("train-*.tar")]) > 3
    return root


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Steps, counted from 1 over the whole training, in the middle of which this process is asked to end."""
    steps: list[int] = []
    step = TrainingModule.training_step

    def noted(self: TrainingModule, batch: Any, index: int) -> torch.Tensor:
        if self.current_epoch * self.trainer.num_training_batches + index + 1 in steps:
            steps.pop(0)
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", noted)
    before = signal.getsignal(signal.SIGTERM)
    yield steps
    assert signal.getsignal(signal.SIGTERM) == before


def command(case: str, data: Path, out: Path, *words: str) -> list[str]:
    small = [*SMALL] if case == "cross_task" else [*SMALL[:4], *SMALL[8:]]
    root = data.parent / "shards" if case == "shards" else data
    options = ["--data.root", str(root), "--training.epochs", "2", "--data.regime", "one"]
    return ["train", *small, *CASES[case], *options, "--out", str(out), *words]


def timeless(run: Path) -> list[list[str]]:
    rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    seconds = rows[0].index("seconds")
    return [row[:seconds] + row[seconds + 1 :] for row in rows]


def end_of(run: Path) -> dict[str, Any]:
    stored = RunFolder(run).load_checkpoint()
    kept = ("state_dict", "optimizer_states", "lr_schedulers", "current_model_state", "averaging_state")
    return {name: stored[name] for name in kept if name in stored}


@pytest.mark.parametrize("case", CASES)
def test_a_run_asked_to_end_goes_on_to_the_same_weights(
    case: str, data: Path, tmp_path: Path, asked: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(case, data, tmp_path / "whole")) == 0
    asked += [2, 4, 9]
    killed = tmp_path / "killed"
    capsys.readouterr()
    assert main(command(case, data, killed)) == 75
    said = capsys.readouterr().err.splitlines()[-1]
    assert "stopped by SIGTERM" in said
    assert f"`mtpsl train --resume {killed}` continues after epoch 1, step 2" in said
    assert RunFolder(killed).middle.is_file()
    assert not RunFolder(killed).checkpoint.exists()
    for _ in range(2):  # again in the same epoch, and in the next one
        assert main(["train", "--resume", str(killed), "--quiet"]) == 75
        assert RunFolder(killed).middle.is_file()
    assert main(["train", "--resume", str(killed), "--quiet"]) == 0
    assert not asked
    assert not RunFolder(killed).middle.exists()
    torch.testing.assert_close(end_of(killed), end_of(tmp_path / "whole"), rtol=0, atol=0, equal_nan=True)
    assert timeless(killed) == timeless(tmp_path / "whole")
    scores = [RunFolder(run).read_scores() for run in (killed, tmp_path / "whole")]
    assert scores[0] == scores[1]


def test_every_so_many_minutes_a_killed_run_can_go_on(data: Path, tmp_path: Path) -> None:
    assert main(command("dwa", data, tmp_path / "whole")) == 0
    words = command("dwa", data, tmp_path / "killed", "--training.checkpoint_minutes", "1e-6")
    middle = RunFolder(tmp_path / "killed").middle
    for number, status in ((signal.SIGKILL, -9), (signal.SIGTERM, 75)):  # a cluster asks the workers, too
        process = start(words)
        deadline, before = time.monotonic() + 120, middle.stat().st_mtime_ns if middle.exists() else 0
        while time.monotonic() < deadline and process.poll() is None:
            if middle.exists() and middle.stat().st_mtime_ns != before:
                break
            time.sleep(0.0005)
        os.killpg(process.pid, number)
        assert process.wait(timeout=60) == status
        words = ["train", "--resume", str(tmp_path / "killed"), "--quiet"]
    assert main(words) == 0
    torch.testing.assert_close(end_of(tmp_path / "killed"), end_of(tmp_path / "whole"), rtol=0, atol=0)


def start(words: list[str]) -> subprocess.Popen[bytes]:
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "mtpsl", *words], env=variables, start_new_session=True, **quiet)


def test_an_epoch_that_is_cut_into_other_steps_begins_anew(
    data: Path, tmp_path: Path, asked: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    asked += [9]
    killed = tmp_path / "killed"
    assert main(command("supervised", data, killed)) == 75
    assert main(["train", "--resume", str(killed), "--training.batch_size", "4", "--quiet"]) == 0
    assert f"{killed}: epoch 2 begins anew: training.batch_size decide" in capsys.readouterr().err
    assert RunFolder(killed).load_checkpoint()["global_step"] == 6 + 3
    assert not RunFolder(killed).middle.exists()


def test_what_ends_an_epoch_is_done_before_a_run_ends(data: Path, tmp_path: Path, asked: list[int]) -> None:
    asked += [6]
    assert main(command("supervised", data, tmp_path / "run", "--training.validate_every", "1")) == 75
    assert RunFolder(tmp_path / "run").load_checkpoint()["epoch"] == 0
    assert not RunFolder(tmp_path / "run").middle.exists()
    assert main(["train", "--resume", str(tmp_path / "run"), "--quiet"]) == 0
    assert [row[0] for row in timeless(tmp_path / "run")] == ["epoch", "1", "2"]


def test_two_processes_end_together_and_go_on(data: Path, tmp_path: Path) -> None:
    words = ["--training.devices", "2", "--training.batch_size", "1", "--training.sheets", "0"]
    process = start(command("dwa", data, tmp_path / "whole", *words))
    assert process.wait(timeout=120) == 0
    killed = RunFolder(tmp_path / "killed")
    process = start(command("dwa", data, killed.path, *words, "--training.checkpoint_minutes", "1e-6"))
    deadline = time.monotonic() + 120
    while not killed.middle.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.0005)
    process.send_signal(signal.SIGTERM)  # to the first one alone
    assert process.wait(timeout=60) == 75
    assert killed.middle.is_file()
    assert start(["train", "--resume", str(killed.path), "--quiet"]).wait(timeout=120) == 0
    torch.testing.assert_close(end_of(killed.path), end_of(tmp_path / "whole"), rtol=0, atol=0)
    assert timeless(killed.path) == timeless(tmp_path / "whole")


def test_what_a_killed_run_left_does_not_stay(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before config.yaml was written, it begins by the same words; killed after its last epoch, it ends."""
    run, words = RunFolder(tmp_path / "run"), command("dwa", data, tmp_path / "run")
    run.path.mkdir()
    for name in ("tasks.json", "environment.json", ".mtpsl-config-abc.yaml"):
        (run.path / name).write_text("cut o")
    assert main(words) == 0
    assert {path.name for path in run.path.iterdir() if path.name.startswith(".")} == set()
    ended = end_of(run.path)
    with monkeypatch.context() as patch:  # the middle of its last epoch, which was complete when it was killed
        patch.setattr(MiddleCheckpoint, "on_train_epoch_end", lambda *_: None)
        assert main([*command("dwa", data, tmp_path / "other"), "--training.checkpoint_minutes", "1e-6"]) == 0
    run.middle.write_bytes(RunFolder(tmp_path / "other").middle.read_bytes())
    assert main(["train", "--resume", str(run.path), "--quiet"]) == 0
    assert not run.middle.exists()
    torch.testing.assert_close(end_of(run.path), ended, rtol=0, atol=0)
    for name in ("notes.txt", "code/mine.py"):  # what is somebody else's
        file = tmp_path / "new" / name
        file.parent.mkdir(parents=True)
        file.touch()
        assert main([*words[:-1], str(tmp_path / "new")]) == 2
        assert "exists already" in capsys.readouterr().err
        assert [path for path in (tmp_path / "new").rglob("*") if path.is_file()] == [file]
        shutil.rmtree(tmp_path / "new")
