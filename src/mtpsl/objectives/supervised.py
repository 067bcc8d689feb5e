"""Plain training on the labels that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from mtpsl.objectives.base import Objective, labelled_images
from mtpsl.options import check_not_negative
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task

Reduction = Literal["mean", "sum"]


class Supervised(Objective):
    """The mean loss of each image's labelled tasks (Li, Liu, Bilen, CVPR 2022, Eq. 1).

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train.
        reduction: `mean` divides an image's losses by the number of its labels (the paper); `sum` does not (its code).
        task_weights: weight of each task's loss, 1 where a task is not named.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        reduction: Reduction = "mean",
        task_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(tasks, network)
        self.reduction = checked_reduction(reduction)
        self.task_weights = checked_weights(tasks, task_weights)

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Eq. 1 on the batch."""
        predictions = network(batch.images).predictions
        return Losses(supervised_losses(self.tasks, predictions, batch, self.reduction, self.task_weights))


class SingleTask(Supervised):
    """The single-task baseline: a network for one task, trained on the images that have its label.

    Args:
        tasks: the one task that the network predicts.
        network: the network to train.
        reduction: without effect on a single task; here since all objectives have it.
        task_weights: weight of the task's loss, 1 where it is not named.
        average: divide the sum of a batch's losses by its `labelled` images (Eq. 1), or by all of the `batch` (the
            authors' code, with `data.epoch_images all`: each labelled image then counts the same).
    """

    task_range = (1, 1)

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        reduction: Reduction = "mean",
        task_weights: Mapping[str, float] | None = None,
        average: Literal["labelled", "batch"] = "labelled",
    ) -> None:
        super().__init__(tasks, network, reduction=reduction, task_weights=task_weights)
        if average not in ("labelled", "batch"):
            raise ValueError(f"average should be 'labelled' or 'batch', not {average!r}")
        self.average = average

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Eq. 1 on the batch."""
        losses = super().forward(network, batch)
        if self.average == "labelled":
            return losses
        share = labelled_images(batch.labelled(self.tasks[0].name)[:, None]) / len(batch)
        return Losses({name: share * loss for name, loss in losses.tasks.items()})


def supervised_losses(
    tasks: Sequence[Task],
    predictions: Mapping[str, Tensor],
    batch: Batch,
    reduction: Reduction = "mean",
    task_weights: Mapping[str, float] | None = None,
) -> dict[str, Tensor]:
    """Eq. 1, split into one scalar per task whose sum it is; averaged over the images that have any label."""
    labelled = torch.stack([batch.labelled(task.name) for task in tasks])
    images = labelled_images(labelled.T)
    share = 1 / labelled.sum(0).clamp(min=1) if reduction == "mean" else labelled.new_ones((), dtype=torch.float32)
    losses = {}
    for task in tasks:
        loss = task.loss(predictions[task.name], batch.targets[task.name], batch.valid[task.name])
        losses[task.name] = (task_weights or {}).get(task.name, 1.0) * (loss * share).sum() / images
    return losses


def checked_reduction(reduction: str) -> Reduction:
    """`reduction` if it is known."""
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction should be 'mean' or 'sum', not {reduction!r}")
    return reduction  # type: ignore[return-value]


def checked_weights(tasks: Sequence[Task], weights: Mapping[str, float] | None) -> dict[str, float]:
    """A weight for every task."""
    names = [task.name for task in tasks]
    unknown = sorted(set(weights or {}) - set(names))
    if unknown:
        raise ValueError(f"task_weights names {', '.join(unknown)}; the tasks are {', '.join(names)}")
    for name, weight in (weights or {}).items():
        check_not_negative(**{f"the weight of task {name}": weight})
    return {name: float((weights or {}).get(name, 1.0)) for name in names}
