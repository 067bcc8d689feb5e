"""A run with a teacher goes on bit for bit, under every way to compute, and its network alone is what is used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command import PLAIN, write_dataset

from mtpsl.cli import main
from mtpsl.training.trained import load_run

OPTIONS = [
    *PLAIN,
    "--network.width", "0.0625",
    "--objective.name", "mean_teacher",
    "--objective.start", "0.3",
    "--data.regime", "one",
    "--training.batch_size", "2",
    "--training.accelerator", "cpu",
    "--training.sheets", "0",
    "--training.report", "false",
    "--training.epochs", "2",
    "--quiet",
]  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--training.ema", "0.5", "--training.accumulate", "2"],
        ["--training.channels_last", "true", "--training.precision", "bf16-mixed", "--objective.views", "1"],
    ],
    ids=["plain", "average", "bf16"],
)
def test_a_run_that_stopped_goes_on_bit_for_bit(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_dataset(tmp_path / "data", size=(32, 32))
    fixed = ["train", "--data.root", str(data), *OPTIONS, *words]
    assert main([*fixed, "--out", str(tmp_path / "whole")]) == 0
    part = tmp_path / "part"
    with monkeypatch.context() as patch:
        patch.setattr("mtpsl.training.callbacks.LastCheckpoint.on_train_epoch_end", stopping_after_first())
        with pytest.raises(StoppedError):
            main([*fixed, "--out", str(part)])
    assert main(["train", "--resume", str(part), "--quiet"]) == 0
    one, two = (torch.load(x / "checkpoints" / "last.ckpt", weights_only=True) for x in (tmp_path / "whole", part))
    for key in [key for key in ("state_dict", "current_model_state") if key in one]:
        assert one[key].keys() == two[key].keys()
        assert all(torch.equal(x, two[key][name]) for name, x in one[key].items())
    state = one.get("current_model_state", one["state_dict"])
    assert int(state["objective.teacher._extra_state"]) == 6
    assert state["objective.certainty.histogram"].any()


def stopping_after_first() -> object:
    """The checkpoint's hook, which ends the program after the first epoch."""
    from mtpsl.training.callbacks import LastCheckpoint

    kept = LastCheckpoint.on_train_epoch_end

    def save(self: LastCheckpoint, trainer: object, pl_module: object) -> None:
        kept(self, trainer, pl_module)  # type: ignore[arg-type]
        raise StoppedError

    return save


class StoppedError(Exception):
    """As if the machine had stopped."""


def test_the_teacher_is_trained_by_no_optimizer_and_belongs_to_no_network(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", val=1, size=(32, 32))
    assert main(["train", "--data.root", str(data), *OPTIONS, "--out", str(tmp_path / "run")]) == 0
    run = load_run(tmp_path / "run")
    assert not [name for name, _ in run.network.named_parameters() if "teacher" in name]
    stored = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    trained = sum(len(group["params"]) for group in stored["optimizer_states"][0]["param_groups"])
    assert trained == len([*run.network.parameters()])
    teacher = run.objective.teacher.network.state_dict()
    farthest = max(float((x.detach() - teacher[name]).abs().max()) for name, x in run.network.named_parameters())
    assert 0 < farthest < 0.1
