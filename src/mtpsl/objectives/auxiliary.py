"""What the objectives share that add a weighted term to the supervised losses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mtpsl.objectives.base import Objective, labelled_images
from mtpsl.objectives.pairs import PairPlan, on_device
from mtpsl.objectives.supervised import Reduction, checked_reduction, checked_weights, supervised_losses
from mtpsl.options import check_not_negative, check_share
from mtpsl.structures import Batch
from mtpsl.tasks import Task


class AuxiliaryObjective(Objective):
    """Eq. 1 plus a term with a weight that may rise during training.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train.
        weight: weight of the whole term.
        reduction: `mean` divides by the number of labelled and unlabelled tasks (the paper); `sum` does not (its code).
        ramp: share of the training over which the weight rises linearly from 0.
        task_weights: weight of each task's supervised loss, 1 where a task is not named.
    """

    #: how much of the training is done when the weight starts to count
    start = 0.0

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        weight: float = 1.0,
        reduction: Reduction = "mean",
        ramp: float = 0.0,
        task_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(tasks, network)
        check_not_negative(weight=weight)
        check_share("the training", ramp=ramp)
        self.weight, self.ramp = weight, ramp
        self.reduction = checked_reduction(reduction)
        self.task_weights = checked_weights(tasks, task_weights)

    def current_weight(self) -> float:
        """The weight at this point of the training."""
        if not self.start and not self.ramp:
            return self.weight
        if self.progress < self.start:
            return 0.0
        return self.weight * (min(1.0, (self.progress - self.start) / self.ramp) if self.ramp else 1.0)

    def supervised(self, predictions: Mapping[str, Tensor], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Eq. 1, by task."""
        return supervised_losses(self.tasks, predictions, batch, self.reduction, self.task_weights)

    def labelled(self, batch: Batch) -> Bool[Tensor, "b k"]:
        """Which tasks each image is labelled for, in the order of `tasks`."""
        return torch.stack([batch.labelled(task.name) for task in self.tasks], 1)

    def unlabelled(self, batch: Batch) -> Bool[Tensor, "b k"]:
        """Which tasks each image has no label of, not even where it was cropped, in the order of `tasks`."""
        return torch.stack([batch.unlabelled(task.name) for task in self.tasks], 1)

    def divisor(self, parts: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """How many terms of an image are averaged, at least 1; 1 where they are summed."""
        return parts.clamp(min=1) if self.reduction == "mean" else torch.ones_like(parts)

    def share(self, labelled: Bool[Tensor, "b k"], parts: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """What each of an image's `parts` terms counts, averaged over the images that have any label.

        To be called at every step, also where there is no term (`labelled_images`).
        """
        return 1 / (self.divisor(parts) * labelled_images(labelled))

    def pair_name(self, source: int, target: int) -> str:
        """`normals->depth`."""
        return f"{self.tasks[source].name}->{self.tasks[target].name}"

    def pair_zeros(self, like: Tensor, prefix: str = "") -> dict[str, Float[Tensor, ""]]:
        """A zero for every ordered pair of tasks, to which its terms are added."""
        every = range(len(self.tasks))
        zero = like.new_zeros((), dtype=torch.float32)
        return {prefix + self.pair_name(s, t): zero for s in every for t in every if s != t}

    def pair_sums(self, plan: PairPlan, values: Float[Tensor, " r"]) -> dict[str, Float[Tensor, ""]]:
        """The sum of the values of each ordered pair of tasks."""
        count = len(self.tasks)
        place = on_device(plan.source * count + plan.target, values.device)
        totals = values.new_zeros(count * count).index_add(0, place, values)
        every = range(count)
        return {self.pair_name(s, t): totals[s * count + t] for s in every for t in every if s != t}


def parameter_group(parameters: Iterable[nn.Parameter], lr: float | None, default: float) -> dict[str, object]:
    """An optimizer group with its own learning rate, or the default one."""
    return {"params": list(parameters), "lr": default if lr is None else lr}
