"""`training.precision auto` decides by what was measured, once per run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from mtpsl.training import precision
from mtpsl.training.config import RunConfig, parse_config
from mtpsl.training.precision import quicker_precision, with_precision
from mtpsl.training.run_folder import RunFolder

AUTO = parse_config(["--training.precision", "auto", "--training.accelerator", "cpu"], {})


def decided(monkeypatch: pytest.MonkeyPatch, of_bf16: float, config: RunConfig = AUTO) -> tuple[str, bool]:
    def step_time(layer: object, x: object, dtype: torch.dtype) -> float:
        return of_bf16 if dtype == torch.bfloat16 else 1.0

    monkeypatch.setattr(precision, "step_time", step_time)
    training = with_precision(config, RunFolder(Path("run"))).training
    return training.precision, training.channels_last


def test_bf16_is_taken_where_it_is_clearly_quicker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decided(monkeypatch, 0.5) == ("bf16-mixed", True)
    assert "precision bf16-mixed: a convolution in bf16 takes 0.50 of the time" in capsys.readouterr().err
    assert decided(monkeypatch, 0.9) == ("32", False)
    assert decided(monkeypatch, 3.0) == ("32", False)


def test_a_precision_that_was_chosen_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    training = dataclasses.replace(AUTO.training, precision="32")
    assert decided(monkeypatch, 0.1, dataclasses.replace(AUTO, training=training)) == ("32", False)


def test_further_processes_do_as_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    training = dataclasses.replace(AUTO.training, precision="bf16-mixed", channels_last=True)
    folder = RunFolder(tmp_path / "run")
    folder.write(dataclasses.replace(AUTO, training=training), [])
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(precision, "step_time", None)
    training = with_precision(AUTO, folder).training
    assert (training.precision, training.channels_last) == ("bf16-mixed", True)


def test_the_measurement_itself_runs() -> None:
    chosen, reason = quicker_precision(torch.device("cpu"))
    assert chosen in ("32", "bf16-mixed")
    assert "of the time" in reason
