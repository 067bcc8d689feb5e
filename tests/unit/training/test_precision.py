"""`training.precision auto` decides by what was measured, once per run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mtpsl.structures import Output
from mtpsl.training import precision
from mtpsl.training.config import RunConfig, parse_config
from mtpsl.training.precision import quickest_precision, with_precision
from mtpsl.training.run_folder import RunFolder

AUTO = parse_config(["--training.precision", "auto", "--training.accelerator", "cpu"], {})
CPU = torch.device("cpu")


class Tiny(nn.Module):
    """A network of one convolution and a dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.drop = nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Dropout()

    def forward(self, images: Tensor) -> Output:
        return Output({"depth": self.drop(self.norm(self.layer(images)))}, [])


def decided(
    monkeypatch: pytest.MonkeyPatch, of_bf16: float, of_layout: float = 1.0, config: RunConfig = AUTO
) -> tuple[str, bool]:
    def step_time(network: object, images: Tensor, dtype: torch.dtype) -> float:
        last = images.is_contiguous(memory_format=torch.channels_last)
        return (of_bf16 if dtype == torch.bfloat16 else 1.0) * (of_layout if last else 1.0)

    monkeypatch.setattr(precision, "step_time", step_time)
    training = with_precision(config, RunFolder(Path("run")), Tiny(), (16, 24)).training
    return training.precision, training.channels_last


def test_bf16_is_taken_where_it_is_clearly_quicker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decided(monkeypatch, 0.5, of_layout=0.8) == ("bf16-mixed", True)
    said = capsys.readouterr().err
    assert "precision bf16-mixed and channels_last: a step of the network in bf16 takes 0.50 of the time" in said
    assert decided(monkeypatch, 0.9) == ("32", False)
    assert decided(monkeypatch, 3.0) == ("32", False)


def test_the_layout_is_decided_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decided(monkeypatch, 0.9, of_layout=0.8) == ("32", True)
    assert decided(monkeypatch, 0.9, of_layout=0.99) == ("32", False)
    assert decided(monkeypatch, 0.5, of_layout=1.2) == ("bf16-mixed", False)
    wanted = dataclasses.replace(AUTO.training, channels_last=True)
    assert decided(monkeypatch, 0.5, 1.2, dataclasses.replace(AUTO, training=wanted)) == ("bf16-mixed", True)


def test_a_precision_that_was_chosen_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    training = dataclasses.replace(AUTO.training, precision="32")
    assert decided(monkeypatch, 0.1, config=dataclasses.replace(AUTO, training=training)) == ("32", False)


def test_further_processes_do_as_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    training = dataclasses.replace(AUTO.training, precision="bf16-mixed", channels_last=True)
    folder = RunFolder(tmp_path / "run")
    folder.write(dataclasses.replace(AUTO, training=training), [])
    monkeypatch.setattr(precision, "step_time", None)
    training = with_precision(AUTO, folder, Tiny(), (16, 24)).training
    assert (training.precision, training.channels_last) == ("bf16-mixed", True)


def test_measuring_changes_neither_the_network_nor_random_numbers() -> None:
    network = Tiny()
    before = {name: x.clone() for name, x in network.state_dict().items()}
    torch.manual_seed(3)
    chosen, channels_last, reason = quickest_precision(network, (2, 3, 16, 24), CPU)
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))
    assert chosen in ("32", "bf16-mixed")
    assert isinstance(channels_last, bool)
    assert "of the time" in reason
    assert all(torch.equal(x, before[name]) for name, x in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())
