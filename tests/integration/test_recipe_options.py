"""Options for data of one's own: a continued run ends as one that was never stopped."""

from __future__ import annotations

from pathlib import Path

import lightning
import pytest
import torch
from command import SMALL, write_dataset
from lightning.pytorch.callbacks import Callback

from mtpsl.cli import main
from mtpsl.training.module import TrainingModule

TRAINING = {
    "optimizer": "adamw",
    "weight_decay": 0.1,
    "encoder_lr_factor": 0.5,
    "schedule": "cosine",
    "warmup": 0.3,
    "ema": 0.9,
    "photometric": 0.5,
    "epochs": 3,
    "validate_every": 1,
    "sheets": 0,
}
OPTIONS = [word for name, value in TRAINING.items() for word in (f"--training.{name}", str(value))] + ["--quiet"]


class StoppedError(Exception):
    """What a test ends a training with."""


def checkpoint(run: Path) -> dict[str, object]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def test_a_run_with_averaged_weights_is_continued_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_dataset(tmp_path / "data", train=4, val=2, size=(32, 32))
    words = ["train", "--data.root", str(data), *SMALL, *OPTIONS]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0

    start = TrainingModule.on_train_epoch_start

    def stopped(self: TrainingModule) -> None:
        if self.current_epoch == 2:
            raise StoppedError
        start(self)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_epoch_start", stopped)
        with pytest.raises(StoppedError):
            main([*words, "--out", str(tmp_path / "stopped")])
    assert main(["train", "--resume", str(tmp_path / "stopped"), "--quiet"]) == 0
    one, two = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "stopped")
    for state in ("state_dict", "current_model_state"):
        assert all(torch.equal(x, two[state][name]) for name, x in one[state].items())
    assert (tmp_path / "whole" / "scores.json").read_text().split('"scores"')[1] == (
        tmp_path / "stopped" / "scores.json"
    ).read_text().split('"scores"')[1]
    name = "network.heads.depth.0.weight"
    assert not torch.equal(one["state_dict"][name], one["current_model_state"][name])


def test_the_average_follows_the_weights_by_its_decay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, seen = write_dataset(tmp_path / "data", train=4, val=1, size=(32, 32)), []

    class Note(Callback):
        def on_train_batch_end(self, trainer: lightning.Trainer, module: TrainingModule, *rest: object) -> None:
            seen.append(module.network.heads["depth"][0].weight.detach().clone())

    create = lightning.Trainer.__init__

    def noting(self: lightning.Trainer, *, callbacks: list[Callback], **options: object) -> None:
        create(self, callbacks=[*callbacks, Note()], **options)

    monkeypatch.setattr(lightning.Trainer, "__init__", noting)
    options = [*SMALL, *OPTIONS, "--training.epochs", "1"]
    assert main(["train", "--data.root", str(data), "--out", str(tmp_path / "run"), *options]) == 0
    expected = seen[0]
    for weights in seen[1:]:
        expected = 0.9 * expected + 0.1 * weights
    assert len(seen) > 1
    torch.testing.assert_close(checkpoint(tmp_path / "run")["state_dict"]["network.heads.depth.0.weight"], expected)


def test_a_frozen_encoder_keeps_its_weights_and_statistics(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", train=4, val=1, size=(32, 32))
    words = ["train", "--data.root", str(data), *SMALL, "--training.epochs", "2", "--training.sheets", "0", "--quiet"]
    assert main([*words, "--out", str(tmp_path / "first")]) == 0
    frozen = ["--training.start_from", str(tmp_path / "first"), "--training.freeze_encoder", "true"]
    assert main([*words, *frozen, "--training.lr", "0.01", "--out", str(tmp_path / "second")]) == 0
    before, after = (checkpoint(tmp_path / run)["state_dict"] for run in ("first", "second"))
    same = {name for name, x in before.items() if torch.equal(x, after[name])}
    assert {name for name in before if name.startswith("network.encoder.")} <= same
    assert not {name for name in before if name.startswith(("network.heads.", "network.decoder."))} <= same
