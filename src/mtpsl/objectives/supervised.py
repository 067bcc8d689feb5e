"""Plain training on the labels that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.objectives.base import Objective, labelled_images
from mtpsl.objectives.known_relations import RelationOptions, RelationTerms
from mtpsl.options import check_choice, check_not_negative
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task

Reduction = Literal["mean", "sum"]


@dataclass(frozen=True, kw_only=True)
class LossOptions:
    """How the losses of tasks add up.

    Args:
        reduction: `mean` divides an image's losses by the number of its labels, and an objective's terms by that of the
            image's unlabelled tasks, pairs or the like (the paper); `sum` does not (its code).
        task_weights: weight of each task's supervised loss, 1 where a task is not named.
        predicted_weight: how much a label counts that a network predicted (`mtpsl autolabel`), where a given one
            counts 1: `mean` then divides by the sum of these, at least 1. 0 leaves such labels out; 0.3 did better than
            1 (benchmarks/headroom.md).
    """

    reduction: Reduction = "mean"
    task_weights: Mapping[str, float] | None = None
    predicted_weight: float = 0.3

    def __post_init__(self) -> None:
        check_choice(("mean", "sum"), **{"losses.reduction": self.reduction})
        for name, weight in (self.task_weights or {}).items():
            check_not_negative(**{f"the weight of task {name}": weight})
        check_not_negative(**{"losses.predicted_weight": self.predicted_weight})

    def weights_of(self, tasks: Sequence[Task]) -> dict[str, float]:
        """A weight for every task.

        Raises:
            ValueError: there is a weight of another one.
        """
        names, weights = [task.name for task in tasks], self.task_weights or {}
        if unknown := sorted(set(weights) - set(names)):
            raise ValueError(f"losses.task_weights names {', '.join(unknown)}; the tasks are {', '.join(names)}")
        return {name: float(weights.get(name, 1.0)) for name in names}


class SupervisedObjective(Objective):
    """An objective of which Li, Liu, Bilen, CVPR 2022, Eq. 1 is a part: the mean loss of each image's labelled tasks.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train.
        losses: how their losses add up.
        relations: known relations between their predictions.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        losses: LossOptions,
        relations: RelationOptions = RelationOptions(),
    ) -> None:
        super().__init__(tasks, network)
        self.reduction, self.task_weights = losses.reduction, losses.weights_of(tasks)
        self.predicted_weight = losses.predicted_weight
        self.related = RelationTerms(tasks, relations)

    def add_up(
        self, predictions: Mapping[str, Tensor], batch: Batch, terms: Mapping[str, Float[Tensor, ""]] | None = None
    ) -> Losses:
        """Eq. 1, an objective's own terms, and those of known relations, from predictions for the batch itself."""
        losses = Losses(self.supervised(predictions, batch), {**(terms or {})})
        if self.related.relations:
            progress = self.progress if self.related.options.ramp else 1.0
            losses.auxiliary.update(self.related.terms(predictions, batch, progress))
        return losses

    def supervised(self, predictions: Mapping[str, Tensor], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Eq. 1, by task."""
        return supervised_losses(
            self.tasks, predictions, batch, self.reduction, self.task_weights, self.predicted_weight
        )


class Supervised(SupervisedObjective):
    """The mean loss of each image's labelled tasks (Li, Liu, Bilen, CVPR 2022, Eq. 1)."""

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        losses: LossOptions = LossOptions(),
        relations: RelationOptions = RelationOptions(),
    ) -> None:
        super().__init__(tasks, network, losses, relations)

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Eq. 1 on the batch."""
        return self.add_up(network(batch.images).predictions, batch)


class SingleTask(SupervisedObjective):
    """The single-task baseline: a network for one task, trained on the images that have its label.

    Args:
        average: divide the sum of a batch's losses by its `labelled` images (Eq. 1), or by all of the `batch` (the
            authors' code, with `data.epoch_images all`: each labelled image then counts the same).
    """

    task_range = (1, 1)

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        losses: LossOptions = LossOptions(),
        average: Literal["labelled", "batch"] = "labelled",
    ) -> None:
        super().__init__(tasks, network, losses)
        check_choice(("labelled", "batch"), average=average)
        self.average = average

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Eq. 1 on the batch."""
        losses = self.supervised(network(batch.images).predictions, batch)
        if self.average == "labelled":
            return Losses(losses)
        share = labelled_images(batch.labelled(self.tasks[0].name)[:, None]) / len(batch)
        return Losses({name: share * loss for name, loss in losses.items()})


def supervised_losses(
    tasks: Sequence[Task],
    predictions: Mapping[str, Tensor],
    batch: Batch,
    reduction: Reduction = "mean",
    task_weights: Mapping[str, float] | None = None,
    predicted_weight: float = 1.0,
) -> dict[str, Tensor]:
    """Eq. 1, split into one scalar per task whose sum it is; averaged over the images that have any label."""
    labelled = torch.stack([batch.labelled(task.name) for task in tasks])
    images = labelled_images(labelled.T)
    weight = labelled.float()
    if batch.predicted is not None and predicted_weight != 1:
        weight = weight * torch.stack([1 - (1 - predicted_weight) * batch.predicted[one.name].float() for one in tasks])
    if reduction == "mean":
        weight = weight / weight.sum(0).clamp(min=1)
    losses = {}
    for task, share in zip(tasks, weight, strict=True):
        loss = task.loss(predictions[task.name], batch.targets[task.name], batch.valid[task.name])
        losses[task.name] = (task_weights or {}).get(task.name, 1.0) * (loss * share).sum() / images
    return losses
