"""Every option of every weighting changes what it should, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from lines import Line, check, check_no_other

from builders import LABELS, batch, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import Supervised
from mtpsl.training.build import build_weighting
from mtpsl.training.config import option_names, parse_config
from mtpsl.weighting import WEIGHTINGS

NEEDED = {"cagrad": ("cvxpy", "clarabel"), "nash_mtl": ("cvxpy", "ecos")}
WEIGHED = {"weights", "gradient"}
LINES = {
    "fixed.weights": Line("{depth: 3.0}", WEIGHED),
    "uncertainty.weight_lr": Line("0.3", {"rates"}),
    "uncertainty.start": Line("-0.5", {*WEIGHED, "state"}),
    "dwa.temperature": Line("0.5", WEIGHED),
    "gradnorm.alpha": Line("30", {"state"}),
    "gradnorm.weight_lr": Line("0.3", {"rates"}),
    "gradnorm.layer": Line("encoder.0.0.weight", {"state"}),
    "cagrad.c": Line("0.1", WEIGHED),
    "nash_mtl.max_norm": Line("0.01", {"gradient"}),
    "nash_mtl.optim_niter": Line("1", set()),  # its solver is through after one step here
    "aligned_mtl.scale_mode": Line("median", WEIGHED),
}
"""Observations are those of `observe_weighting`."""


def observe_weighting(name: str, words: Sequence[str]) -> dict[str, Any]:
    """What three epochs of one batch each make of the losses of three tasks."""
    config = parse_config(["--weighting", name, *words], {})
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in tasks()}, width=0.01)
    objective, weighting = Supervised(tasks(), network), build_weighting(config, tasks(), network)
    data = batch(LABELS["all labelled"], (32, 32))
    weights = []
    for epoch in range(3):
        for module in (network, weighting):
            module.zero_grad()
        torch.manual_seed(1)
        losses = objective(network, data)
        for task, loss in losses.tasks.items():  # which fall at different rates
            losses.tasks[task] = loss * (0.9 - 0.2 * len(task) / 12) ** epoch
        weighting.backward(losses, network, data)
        weighting.end_epoch()
        weights.append(dict(weighting.weights))
    own = [p.grad for p in weighting.parameters()]
    return {
        "weights": weights,
        "gradient": torch.cat([p.grad.flatten() for p in network.parameters()]),
        "state": [*weighting.state_dict().values(), *(x for x in own if x is not None)],
        "rates": [group["lr"] for group in weighting.parameter_groups(0.1)],
    }


def options() -> list[tuple[str, str]]:
    return [(name, option) for name in WEIGHTINGS for option in option_names(WEIGHTINGS[name], "weighting")]


@pytest.mark.parametrize(("name", "option"), options())
def test_a_weightings_option_changes_what_it_should(name: str, option: str) -> None:
    if not all(find_spec(package) for package in NEEDED.get(name, ())):
        pytest.skip(f"{name} needs {' and '.join(NEEDED[name])}")
    table = "LINES in tests/options/test_weighting_options.py"
    line = LINES.get(f"{name}.{option}")
    check(f"weighting.{option}", line, lambda words: observe_weighting(name, words), table)


def test_every_line_is_of_a_weightings_option() -> None:
    check_no_other(LINES, [".".join(pair) for pair in options()], "tests/options/test_weighting_options.py")
