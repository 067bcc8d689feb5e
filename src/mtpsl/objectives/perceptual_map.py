"""Perceptual maps: prediction and label of a task are compared after both are mapped to another task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mtpsl.objectives.auxiliary import AuxiliaryObjective, parameter_group
from mtpsl.objectives.pair_maps import PairMaps, by_pair, known_encoding
from mtpsl.objectives.pairs import PairPlan, plan_pairs
from mtpsl.objectives.supervised import Reduction
from mtpsl.options import check_positive
from mtpsl.structures import Batch, Losses, masked_mean
from mtpsl.tasks import Task


class PerceptualMap(AuxiliaryObjective):
    """Eq. 1 plus the distance between a labelled task's prediction and its label, both mapped to another task's space.

    "Perceptual-Map" of Li, Liu, Bilen: Learning Multiple Dense Prediction Tasks from Partially Annotated Data, CVPR
    2022, section 3.2. As printed: the distance is L(m(prediction of s), m(label of s)) in the label space of t, and m
    is learned from predictions of s and labels of t, since few images have both labels. Our reading of what is not
    printed:

    - The distance counts where s is labelled (it needs the label), for every other task t, labelled or not. It is the
      mean absolute difference of class and edge probabilities, depth or unit normals, over the valid pixels of s.
    - It trains the network only. The mapping learns only from t's supervised loss where t is labelled, from the
      detached prediction of s, or its label where there is one. Neither can thus lower the distance by a mapping that
      forgets its input.
    - `mean` divides both by the number of pairs of an image.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train.
        weight: weight of the distances; the mappings always learn with weight 1.
        reduction: `mean` divides by the number of labelled tasks and of pairs; `sum` does not.
        ramp: share of the training over which the weight rises linearly from 0.
        mapping_lr: learning rate of the mappings, by default that of the network.
        mapping_width: factor on the mappings' channels, 1 as published.
        task_weights: weight of each task's supervised loss, 1 where a task is not named.
    """

    task_range = (2, None)

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        weight: float = 1.0,
        reduction: Reduction = "mean",
        ramp: float = 0.0,
        mapping_lr: float | None = None,
        mapping_width: float = 1.0,
        task_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(tasks, network, weight=weight, reduction=reduction, ramp=ramp, task_weights=task_weights)
        check_positive(mapping_lr=mapping_lr)
        self.mapping_lr = mapping_lr
        self.mapping = PairMaps(tasks, width=mapping_width)

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """All terms on the batch; distances are named source->target, the mappings' losses mapping/source->target."""
        predictions = network(batch.images).predictions
        distances, fits = self.perceptual(predictions, batch)
        return Losses(self.supervised(predictions, batch), {**distances, **fits})

    def perceptual(
        self, predictions: Mapping[str, Tensor], batch: Batch, *, measure: bool = True, fit: bool = True
    ) -> tuple[dict[str, Float[Tensor, ""]], dict[str, Float[Tensor, ""]]]:
        """The weighted distances (if `measure`) and the mappings' losses (if `fit`), zero where a pair has none."""
        labelled = self.labelled(batch)
        # the one host synchronization: which rows there are is control flow
        plan = plan_pairs(labelled.cpu(), labelled_sources=True)
        share = self.share(labelled, labelled.sum(1) * (len(self.tasks) - 1))
        distances, fits = self.pair_zeros(batch.images), self.pair_zeros(batch.images, "mapping/")
        device = batch.images.device
        if fit:
            for s, t, rows in by_pair(plan, device):
                fits[f"mapping/{self.pair_name(s, t)}"] = (self.fit(predictions, batch, s, t, rows) * share[rows]).sum()
        if measure:
            share = share * self.current_weight()
            for s, t, rows in by_pair(PairPlan(plan.image, plan.target, plan.source), device):
                distances[self.pair_name(s, t)] = (self.distance(predictions, batch, s, t, rows) * share[rows]).sum()
        return distances, fits

    def fit(
        self, predictions: Mapping[str, Tensor], batch: Batch, source: int, target: int, rows: Int[Tensor, " r"]
    ) -> Float[Tensor, " r"]:
        """The loss of a mapping on images whose target task is labelled."""
        known = known_encoding(self.tasks[source], *selected(self.tasks[source], predictions, batch, rows))
        mapped, name = self.mapping(known, source, target), self.tasks[target].name
        return self.tasks[target].loss(mapped, batch.targets[name][rows], batch.valid[name][rows])

    def distance(
        self, predictions: Mapping[str, Tensor], batch: Batch, source: int, target: int, rows: Int[Tensor, " r"]
    ) -> Float[Tensor, " r"]:
        """Mapped prediction against mapped label, on images whose source task is labelled.

        Where the label has holes, the prediction fills them, so that only valid pixels make a difference.
        """
        task = self.tasks[source]
        prediction, label, valid = selected(task, predictions, batch, rows)
        encoded = task.encode_prediction(prediction)
        label_side = torch.where(valid[:, None], task.encode_target(label, valid).to(encoded.dtype), encoded.detach())
        # One call: the batch norm of the mapping treats both sides alike.
        mapped = self.tasks[target].soft(self.mapping(torch.cat([encoded, label_side]), source, target, fixed=True))
        of_prediction, of_label = mapped.float().chunk(2)
        return masked_mean((of_prediction - of_label.detach()).abs().mean(1), valid)

    def parameter_groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """The mappings, with their own learning rate."""
        return [parameter_group(self.parameters(), self.mapping_lr, lr)]


def selected(
    task: Task, predictions: Mapping[str, Tensor], batch: Batch, rows: Int[Tensor, " r"]
) -> tuple[Float[Tensor, "r c h w"], Tensor, Bool[Tensor, "r h w"]]:
    """Prediction, label and valid pixels of some images."""
    return predictions[task.name][rows], batch.targets[task.name][rows], batch.valid[task.name][rows]
