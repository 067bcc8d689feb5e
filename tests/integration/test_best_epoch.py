"""The best epoch beside the last, and training that stops where nothing improves: also where a run is continued."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import PLAIN, write_dataset

import mtpsl
from mtpsl.cli import main
from mtpsl.evaluation.evaluate import Evaluator
from mtpsl.evaluation.run_scores import read_run_scores
from mtpsl.structures import Score
from mtpsl.training.callbacks import LastCheckpoint
from mtpsl.training.module import TrainingModule
from mtpsl.training.run_folder import RunFolder

ERRORS = [0.5, 0.4, 0.2, 0.3, 0.25, 0.6]
"""The depth errors of the epochs: the third is the best."""
OPTIONS = {
    "network.width": 0.05,
    "objective": "supervised",
    "training.batch_size": 2,
    "training.sheets": 0,
    "training.validate_every": 1,
    "training.accelerator": "cpu",
    "training.epochs": 6,
    "training.keep_best": "true",
}


class KilledError(Exception):
    """What a test ends a training with."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("best") / "data", train=4, val=1, size=(32, 32))


@pytest.fixture(autouse=True)
def scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation gives chosen depth errors; all other scores are the same in every epoch."""
    epochs: list[int] = []
    start, compute = TrainingModule.on_train_epoch_start, Evaluator.compute

    def noted(self: TrainingModule) -> None:
        epochs.append(self.current_epoch)
        start(self)

    def chosen(self: Evaluator) -> dict[str, dict[str, Score]]:
        found = compute(self)
        ones = {task: {name: replace(x, value=1.0) for name, x in some.items()} for task, some in found.items()}
        ones["depth"]["abs_err"] = Score(ERRORS[epochs[-1]] if epochs else 9.0, "m", False)
        return ones

    monkeypatch.setattr(TrainingModule, "on_train_epoch_start", noted)
    monkeypatch.setattr(Evaluator, "compute", chosen)


def train(data: Path, out: Path, *options: object) -> int:
    fixed = [word for name, value in OPTIONS.items() for word in (f"--{name}", value)]
    return main(["train", *PLAIN, *map(str, [*fixed, "--data.root", data, "--out", out, *options]), "--quiet"])


def die_in_third_epoch(patch: pytest.MonkeyPatch, moment: str) -> None:
    """End a training before or just after it writes the checkpoint of its third epoch."""
    save = LastCheckpoint.on_train_epoch_end

    def dies(self: LastCheckpoint, trainer: Any, module: Any) -> None:
        if trainer.current_epoch == 2:
            if moment == "after the checkpoint":
                self.written = lambda epoch: None
                save(self, trainer, module)
            raise KilledError
        save(self, trainer, module)

    patch.setattr(LastCheckpoint, "on_train_epoch_end", dies)


def resume(run: Path, *options: object) -> int:
    return main(["train", "--resume", str(run), *map(str, options), "--quiet"])


def checkpoint(run: Path, name: str) -> dict[str, Any]:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def stored(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())


def error(content: dict[str, Any]) -> float:
    return float(content["scores"]["depth"]["abs_err"]["value"])


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Path:
    assert train(data, tmp_path / "run") == 0
    return tmp_path / "run"


def test_the_best_epoch_is_kept_and_the_last_is_reported(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last, best = stored(run / "scores.json"), stored(run / "scores_best.json")
    assert (last["epoch"], error(last), last["run"]["complete"]) == (6, 0.6, True)
    assert (best["epoch"], error(best)) == (3, 0.2)
    # 60 % less than in the first epoch, one of three scores of one of three tasks
    assert best["improvement"] == pytest.approx(60 / 3 / 3)
    assert [checkpoint(run, name)["epoch"] + 1 for name in ("last", "best")] == [6, 3]
    assert resume(run) == 0
    printed = capsys.readouterr().out
    assert "was trained to its last epoch already" in printed
    assert f"best epoch: 3, kept for --checkpoint best (scores: {run}/scores_best.json)" in printed


def test_the_best_network_is_loaded_evaluated_and_applied(run: Path, data: Path, tmp_path: Path) -> None:
    last, best = (mtpsl.load(run, device="cpu", checkpoint=which) for which in ("last", "best"))
    assert (last.epoch, best.epoch, mtpsl.load(run, device="cpu").epoch) == (6, 3, 6)
    name = "heads.depth.0.weight"
    for one, which in ((last, "last"), (best, "best")):
        weights = checkpoint(run, which)["state_dict"][f"network.{name}"]
        assert torch.equal(one.network.state_dict()[name].cpu(), weights)
    picture = data / "val/image/000.png"
    for which in ("last", "best"):
        words = ["predict", str(run), str(picture), "--out", str(tmp_path / which), "--checkpoint", which]
        assert main(words) == 0
    written = [np.load(tmp_path / which / "depth/000.npy") for which in ("last", "best")]
    assert not np.array_equal(*written)
    np.testing.assert_array_equal(written[1], best.predict(picture)["depth"])
    before = (run / "scores.json").read_bytes()
    assert main(["evaluate", str(run), "--checkpoint", "best", "--sheets", "1"]) == 0
    assert (run / "scores.json").read_bytes() == before
    again = stored(run / "scores_best.json")
    assert (again["epoch"], error(again)) == (3, 0.6)  # the fixture's, of the epoch trained last
    assert again["improvement"] == pytest.approx(60 / 3 / 3)
    assert [path.name for path in (run / "pictures").iterdir()] == ["sheets-best"]


@pytest.mark.parametrize("moment", ["before the checkpoint", "after the checkpoint"])
def test_a_killed_run_ends_as_one_that_was_not(
    moment: str, run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "killed"
    with monkeypatch.context() as patch:
        die_in_third_epoch(patch, moment)
        with pytest.raises(KilledError):
            train(data, killed)
    assert checkpoint(killed, "best")["epoch"] == 1
    killed = Path(shutil.move(killed, tmp_path / "moved"))
    assert resume(killed) == 0
    for name in ("last", "best"):
        one, two = checkpoint(run, name), checkpoint(killed, name)
        assert one["epoch"] == two["epoch"]
        assert one["callbacks"]["BestEpoch"] == two["callbacks"]["BestEpoch"]
        assert all(torch.equal(x, two["state_dict"][key]) for key, x in one["state_dict"].items())
    for name in ("scores.json", "scores_best.json"):
        assert stored(run / name)["scores"] == stored(killed / name)["scores"]


def test_the_last_epoch_may_be_the_best_of_a_run_that_is_killed_after_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        die_in_third_epoch(patch, "after the checkpoint")
        with pytest.raises(KilledError):
            train(data, tmp_path / "run", "--training.epochs", 3)
    assert (checkpoint(tmp_path / "run", "best")["epoch"], stored(tmp_path / "run/scores_best.json")["epoch"]) == (1, 2)
    assert resume(tmp_path / "run") == 0
    assert (checkpoint(tmp_path / "run", "best")["epoch"], stored(tmp_path / "run/scores_best.json")["epoch"]) == (2, 3)


def test_training_stops_when_nothing_improves_and_is_complete(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train(data, run, "--training.patience", 2) == 0
    said = "stopped after epoch 5: the last 2 validations were no better than that of epoch 3\n"
    assert said in capsys.readouterr().err
    content = stored(run / "scores.json")
    assert (content["epoch"], content["run"]["complete"], content["run"]["stopped_early"]) == (5, True, True)
    assert RunFolder(run).finished(6)
    assert read_run_scores(run).setting.epochs == 6  # a comparison takes it
    assert checkpoint(run, "best")["epoch"] + 1 == stored(run / "scores_best.json")["epoch"] == 3
    assert resume(run, "--label", "ours") == 0
    assert "was trained to its last epoch already" in capsys.readouterr().out
    assert stored(run / "scores.json")["run"]["label"] == "ours"
    assert RunFolder(run).finished(6)
    for words in (["--training.lr", "1"], ["--training.epochs", "9"], ["--training.patience", "1"]):
        assert resume(run, *words) == 2
        assert "it has stopped after epoch 5: raise --training.patience" in capsys.readouterr().err
    assert main(["evaluate", str(run)]) == 0
    assert RunFolder(run).finished(6)
    assert resume(run, "--training.patience", "null") == 0
    with (run / "metrics.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == [str(epoch) for epoch in range(1, 7)]
    content = stored(run / "scores.json")["run"]
    assert (content["complete"], content["stopped_early"]) == (True, False)


def test_a_run_without_a_best_epoch_says_so(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert train(data, run, "--training.keep_best", "false", "--training.epochs", 1) == 0
    assert "best epoch" not in capsys.readouterr().out
    assert not {"scores_best.json", "best.ckpt"} & {path.name for path in run.rglob("*")}
    assert main(["evaluate", str(run), "--checkpoint", "best"]) == 2
    assert f"{run} has no best checkpoint: training keeps one with --training.keep_best true" in capsys.readouterr().err
    assert main(["predict", str(run), str(data / "val"), "--out", str(tmp_path / "p"), "--checkpoint", "first"]) == 2
    assert "--checkpoint should be last or best, not first" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
