"""What an epoch goes over: training with hidden labels, resumed and not."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from command import SMALL, write_dataset
from torch import nn

from mtpsl.objectives.supervised import SingleTask
from mtpsl.structures import Batch, Losses
from mtpsl.training.config import parse_config
from mtpsl.training.module import TrainingModule
from mtpsl.training.run import train

STL = [*SMALL[2:4], *SMALL[8:-1], "--objective", "stl", "--tasks", "depth", "--data.regime", "one"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "small", train=13)


def run(data: Path, out: Path, *options: str, resume: bool = False) -> list[dict[str, str]]:
    config = parse_config(["--data.root", str(data), "--training.epochs", "4", *STL, *options], {})
    train(config, out, resume=resume, progress=False)
    with (out / "metrics.csv").open() as file:
        return [*csv.DictReader(file)]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """The batches that the objective is given, and `steps` of the optimizer."""
    batches: list[Batch] = []
    forward = SingleTask.forward

    def noted(self: SingleTask, network: nn.Module, batch: Batch) -> Losses:
        batches.append(batch)
        return forward(self, network, batch)

    monkeypatch.setattr(SingleTask, "forward", noted)
    return batches


@pytest.mark.parametrize("epoch", ["labelled", "all"])
def test_every_batch_with_a_label_is_a_step_and_no_other(
    epoch: str, data: Path, tmp_path: Path, seen: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, progress = [], []
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self, closure: (steps.append(1), step(self, closure))[1])
    tell = SingleTask.set_progress
    monkeypatch.setattr(SingleTask, "set_progress", lambda self, share: (progress.append(share), tell(self, share))[1])
    run(data, tmp_path / "run", "--data.epoch_images", epoch, "--training.drop_last", "false")
    labelled = [batch.labelled("depth") for batch in seen]
    assert len(steps) == len(seen)
    assert all(some.any() for some in labelled)
    assert progress == sorted(progress)
    assert 0.9 < progress[-1] + 1 / len(seen) < 1.1
    times = {key: sum(key in batch.keys for batch in seen) for batch in seen for key in batch.keys}
    of_depth = {key for batch in seen for key, some in zip(batch.keys, batch.labelled("depth"), strict=True) if some}
    assert len(of_depth) in (4, 5)  # a third of 13
    assert {times[key] for key in of_depth} == {4}
    if epoch == "labelled":
        assert {*times} == of_depth
    else:
        assert len(times) > len(of_depth)
        assert 4 * 3 <= len(seen) <= 4 * 5 < 4 * 7


def test_a_resumed_run_goes_over_the_same_batches(
    data: Path, tmp_path: Path, seen: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--data.epoch_images", "all", "--training.drop_last", "false"]
    whole = run(data, tmp_path / "whole", *options)
    expected = [batch.keys for batch in seen]
    seen.clear()
    start = TrainingModule.on_train_epoch_start

    def killed(self: TrainingModule) -> None:
        if self.current_epoch == 2:
            raise RuntimeError
        start(self)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_epoch_start", killed)
        with pytest.raises(RuntimeError):
            run(data, tmp_path / "killed", *options)
    resumed = run(data, tmp_path / "killed", *options, resume=True)
    assert [batch.keys for batch in seen] == expected
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in rows] for rows in (whole, resumed)]
    assert timeless[0] == timeless[1]
    scores = [json.loads((tmp_path / name / "scores.json").read_text())["scores"] for name in ("whole", "killed")]
    assert scores[0] == scores[1]


def test_gradients_are_summed_over_batches_with_labels(
    data: Path, tmp_path: Path, seen: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self, closure: (step(self, closure), steps.append(len(seen)))[0]
    )
    options = ["--data.epoch_images", "all", "--training.accumulate", "2", "--training.epochs", "1"]
    run(data, tmp_path / "run", *options)
    assert steps == [*range(2, len(seen) + 1, 2)] + [len(seen)] * (len(seen) % 2)
