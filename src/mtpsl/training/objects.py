"""What a run is given as objects in place of names: `mtpsl.train(network=my_network)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from mtpsl.data.base import LabelledDataset
from mtpsl.errors import UserError
from mtpsl.objectives import Objective
from mtpsl.structures import Output
from mtpsl.tasks import Task
from mtpsl.weighting import Weighting


@dataclass(frozen=True)
class Objects:
    """Objects that a run is trained with; None for what its configuration names.

    Args:
        network: returns an `Output`, and says its `stride` and `feature_channels`.
        objective: an objective, or its class, which is given tasks and network.
        weighting: a weighting, or its class, which is given the tasks' names.
        datasets: for training and for validation.
    """

    network: nn.Module | None = None
    objective: Objective | type[Objective] | None = None
    weighting: Weighting | type[Weighting] | None = None
    datasets: tuple[LabelledDataset, LabelledDataset] | None = None


def checked_network(network: nn.Module, tasks: Sequence[Task], size: tuple[int, int]) -> nn.Module:
    """The network in training mode, if it predicts the tasks for images of this size.

    Raises:
        UserError: it returns something else.
    """
    parameter = next(network.parameters(), None)
    with torch.no_grad():
        output = network.eval()(torch.zeros(1, 3, *size, device=None if parameter is None else parameter.device))
    name = type(network).__name__
    if not isinstance(output, Output):
        raise UserError(f"network {name} should return an Output, not {type(output).__name__}")
    for task in tasks:
        found = tuple(output.predictions[task.name].shape) if task.name in output.predictions else "nothing"
        if found != (wanted := (1, task.out_channels, *size)):
            raise UserError(f"network {name} should predict {task.name} of shape {wanted}, not {found}")
    return network.train()


def made_objective(given: Objective | type[Objective], tasks: list[Task], network: nn.Module) -> Objective:
    """The objective, of a class or as it is.

    Raises:
        UserError: it is for other tasks.
    """
    objective = given(tasks, network) if isinstance(given, type) else given
    ours, theirs = ([task.name for task in some] for some in (tasks, objective.tasks))
    if sorted(ours) != sorted(theirs):
        raise UserError(
            f"objective {type(objective).__name__} is for {', '.join(theirs)}, the run for {', '.join(ours)}"
        )
    return objective


def made_weighting(given: Weighting | type[Weighting], tasks: list[Task]) -> Weighting:
    """The weighting, of a class or as it is.

    Raises:
        UserError: it is for other tasks.
    """
    names = [task.name for task in tasks]
    weighting = given(names) if isinstance(given, type) else given
    if sorted(weighting.tasks) != sorted(names):
        theirs = ", ".join(weighting.tasks)
        raise UserError(f"weighting {type(weighting).__name__} is for {theirs}, the run for {', '.join(names)}")
    return weighting
