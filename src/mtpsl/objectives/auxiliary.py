"""What the objectives share that add a weighted term to the supervised losses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mtpsl.objectives.base import labelled_images
from mtpsl.objectives.known_relations import RelationOptions
from mtpsl.objectives.mapping.pairs import Pair, to_device
from mtpsl.objectives.supervised import LossOptions, SupervisedObjective
from mtpsl.options import check_not_negative, check_share
from mtpsl.structures import Batch
from mtpsl.tasks import Task


@dataclass(frozen=True, kw_only=True)
class TermOptions:
    """What an objective adds to the supervised losses.

    Args:
        weight: weight of the whole term.
        ramp: share of the training over which the weight rises linearly from 0 (0.25 helped short trainings of
            `cross_task` in benchmarks/partial_labels.md).
    """

    weight: float = 1.0
    ramp: float = 0.0

    def __post_init__(self) -> None:
        check_not_negative(**{"term.weight": self.weight})
        check_share("the training", **{"term.ramp": self.ramp})


class AuxiliaryObjective(SupervisedObjective):
    """Eq. 1 plus a term with a weight that may rise during training.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train.
        losses: how losses add up.
        term: the weight of the term.
        relations: known relations between the predictions.
        own_lr: learning rate of the objective's own parameters, by default that of the network.
    """

    #: how much of the training is done when the weight starts to count
    start = 0.0

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        losses: LossOptions,
        term: TermOptions,
        relations: RelationOptions = RelationOptions(),
        *,
        own_lr: float | None = None,
    ) -> None:
        super().__init__(tasks, network, losses, relations)
        self.weight, self.ramp, self.own_lr = term.weight, term.ramp, own_lr

    def current_weight(self) -> float:
        """The weight at this point of the training."""
        if not self.start and not self.ramp:
            return self.weight
        if self.progress < self.start:
            return 0.0
        return self.weight * (min(1.0, (self.progress - self.start) / self.ramp) if self.ramp else 1.0)

    def labelled(self, batch: Batch) -> Bool[Tensor, "b k"]:
        """Which tasks each image is labelled for, in the order of `tasks`."""
        return torch.stack([batch.labelled(task.name) for task in self.tasks], 1)

    def unlabelled(self, batch: Batch) -> Bool[Tensor, "b k"]:
        """Which tasks each image has no label of, not even where it was cropped, in the order of `tasks`."""
        return torch.stack([batch.unlabelled(task.name) for task in self.tasks], 1)

    def divisor(self, terms: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """How many terms of an image are averaged, at least 1; 1 where they are summed."""
        return terms.clamp(min=1) if self.reduction == "mean" else torch.ones_like(terms)

    def share(self, labelled: Bool[Tensor, "b k"], terms: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """What each of an image's `terms` counts, averaged over the images that have any label.

        To be called at every step, also where there is no term (`labelled_images`).
        """
        return 1 / (self.divisor(terms) * labelled_images(labelled))

    def pair_name(self, source: int, target: int) -> str:
        """`normals->depth`."""
        return f"{self.tasks[source].name}->{self.tasks[target].name}"

    def pair_zeros(self, like: Tensor, prefix: str = "") -> dict[str, Float[Tensor, ""]]:
        """A zero for every ordered pair of tasks, to which its terms are added."""
        every = range(len(self.tasks))
        zero = like.new_zeros((), dtype=torch.float32)
        return {prefix + self.pair_name(s, t): zero for s in every for t in every if s != t}

    def pair_sums(self, pairs: Sequence[Pair], values: Float[Tensor, " r"]) -> dict[str, Float[Tensor, ""]]:
        """The sum of the values of each ordered pair of tasks."""
        count = len(self.tasks)
        place = to_device([pair.source * count + pair.target for pair in pairs], values.device)
        totals = values.new_zeros(count * count).index_add(0, place, values)
        every = range(count)
        return {self.pair_name(s, t): totals[s * count + t] for s in every for t in every if s != t}

    def parameter_groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """The objective's own parameters, with their own learning rate."""
        parameters = list(self.parameters())
        return [parameter_group(parameters, self.own_lr, lr)] if parameters else []


def parameter_group(parameters: Iterable[nn.Parameter], lr: float | None, default: float) -> dict[str, Any]:
    """An optimizer group with its own learning rate, or the default one."""
    return {"params": list(parameters), "lr": default if lr is None else lr}
