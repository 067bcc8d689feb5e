"""Which parameters are optimized, at which rate, with which decay."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mtpsl.networks import SegNet
from mtpsl.training.optimizer import apply_rates, make_optimizer, network_groups
from mtpsl.training.settings import TrainingSettings

NETWORK = SegNet({"depth": 1}, width=0.01)


def rates(settings: TrainingSettings, moments: list[float], halve_every: int | None = None) -> list[float]:
    """The first rate of a group of 1.0 at these moments, in epochs, with two steps an epoch."""
    done = [0.0]
    group = {"params": [nn.Parameter(torch.zeros(1))], "lr": 1.0, "halve_every": halve_every}
    optimizer, scheduler, interval = make_optimizer(settings, NETWORK, [group], lambda: done[0])
    seen = {0.0: optimizer.param_groups[-1]["lr"]}
    for half in range(1, 2 * settings.epochs + 1):
        done[0] = half / 2
        optimizer.step()
        if interval == "step" or half % 2 == 0:
            scheduler.step()
        seen[half / 2] = optimizer.param_groups[-1]["lr"]
    return [seen[moment] for moment in moments]


def test_the_cosine_moves_at_every_step_after_a_linear_warm_up() -> None:
    settings = TrainingSettings(epochs=10, schedule="cosine", warmup=0.2)
    expected = [0, 0.25, 0.5, 1, 0.5 * (1 + math.cos(math.pi / 16)), 0.5, 0]
    assert rates(settings, [0, 0.5, 1, 2, 2.5, 6, 10]) == pytest.approx(expected, abs=1e-12)


def test_published_schedules_move_once_per_epoch() -> None:
    assert rates(TrainingSettings(epochs=4, schedule="step"), [0, 1.5, 2, 2.5]) == [1, 1, 0.5, 0.5]
    poly = [1, 1, 0.75**0.9, 0.75**0.9, 0.5**0.9]
    assert rates(TrainingSettings(epochs=4, schedule="poly"), [0, 0.5, 1, 1.5, 2]) == pytest.approx(poly)
    assert rates(TrainingSettings(epochs=4, schedule="constant"), [0, 3.5]) == [1, 1]


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_a_group_is_halved_by_epochs_whatever_the_runs_schedule(schedule: str) -> None:
    settings = TrainingSettings(epochs=5, schedule=schedule)
    assert rates(settings, [0, 1.5, 2, 3.5, 4], halve_every=2) == [1, 1, 0.5, 0.5, 0.25]


def test_by_default_there_is_one_group_of_adam() -> None:
    optimizer, _, interval = make_optimizer(TrainingSettings(weight_decay=0.1), NETWORK, [], lambda: 0.0)
    assert type(optimizer) is torch.optim.Adam
    assert interval == "epoch"
    (group,) = optimizer.param_groups
    assert group["params"] == list(NETWORK.parameters())
    assert (group["lr"], group["weight_decay"]) == (1e-4, 0.1)


def test_adamw_decays_no_bias_and_no_norm() -> None:
    settings = TrainingSettings(optimizer="adamw", weight_decay=0.1)
    optimizer, _, _ = make_optimizer(settings, NETWORK, [], lambda: 0.0)
    assert type(optimizer) is torch.optim.AdamW
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert len(decay) == len(list(NETWORK.parameters()))
    assert all(decay[id(p)] == (0.1 if p.ndim > 1 else 0.0) for p in NETWORK.parameters())


def test_the_encoder_has_a_rate_of_its_own() -> None:
    groups = network_groups(TrainingSettings(lr=0.01, encoder_lr_factor=0.1), NETWORK)
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    inside = {id(p) for p in NETWORK.encoder.parameters()}
    assert [rate[key] for key in inside] == [pytest.approx(0.001)] * len(inside)
    assert {rate[key] for key in rate.keys() - inside} == {0.01}
    assert rate.keys() == {id(p) for p in NETWORK.parameters()}


def test_rates_and_decays_replace_those_of_a_checkpoint() -> None:
    settings = TrainingSettings(epochs=4, schedule="step", optimizer="adamw", weight_decay=0.1)
    optimizer, scheduler, _ = make_optimizer(settings, NETWORK, [], lambda: 0.0)
    scheduler.last_epoch = 2
    apply_rates(optimizer, scheduler, [(0.2, 0.5), (0.4, 0.0)])
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(0.1, 0.5), (0.2, 0.0)]
    assert scheduler.get_last_lr() == [0.1, 0.2]


@pytest.mark.parametrize(
    ("option", "value"),
    [("warmup", 1.0), ("warmup", -0.1), ("ema", 1.0), ("encoder_lr_factor", 0.0), ("photometric", 2.0)],
)
def test_values_that_make_no_sense_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"training.{option} should"):
        TrainingSettings(**{option: value})
    with pytest.raises(ValueError, match="without effect"):
        TrainingSettings(freeze_encoder=True, encoder_lr_factor=0.1)
