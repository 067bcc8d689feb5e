"""Distances of predictions and labels after both are mapped to another task: what two objectives share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mtpsl.objectives.auxiliary import AuxiliaryObjective, TermOptions
from mtpsl.objectives.known_relations import RelationOptions
from mtpsl.objectives.mapping.options import MappingOptions
from mtpsl.objectives.mapping.pair_maps import PairMaps, group_by_tasks, known_encoding
from mtpsl.objectives.mapping.pairs import Pair, plan_pairs
from mtpsl.objectives.supervised import LossOptions
from mtpsl.structures import Batch, masked_mean
from mtpsl.tasks import Task


class PerceptualObjective(AuxiliaryObjective):
    """Eq. 1 plus perceptual distances, whose mappings are networks of their own for every ordered pair of tasks.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train.
        losses: how losses add up.
        term: the weight of the distances; the mappings always learn with weight 1.
        mapping: the mappings.
        relations: known relations between the predictions.
    """

    task_range = (2, None)

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        losses: LossOptions,
        term: TermOptions,
        mapping: MappingOptions,
        relations: RelationOptions = RelationOptions(),
    ) -> None:
        super().__init__(tasks, network, losses, term, relations, own_lr=mapping.lr)
        self.mapping = PairMaps(tasks, width=mapping.width)

    def perceptual(
        self, predictions: Mapping[str, Tensor], batch: Batch, *, measure: bool = True, fit: bool = True
    ) -> tuple[dict[str, Float[Tensor, ""]], dict[str, Float[Tensor, ""]]]:
        """The weighted distances (if `measure`) and the mappings' losses (if `fit`), zero where a pair has none."""
        labelled = self.labelled(batch)
        pairs = plan_pairs(labelled, labelled_sources=True)
        share = self.share(labelled, labelled.sum(1) * (len(self.tasks) - 1))
        distances, fits = self.pair_zeros(batch.images), self.pair_zeros(batch.images, "mapping/")
        device = batch.images.device
        if fit:
            for s, t, images in group_by_tasks(pairs, device):
                loss = self.mapping_loss(predictions, batch, s, t, images)
                fits[f"mapping/{self.pair_name(s, t)}"] = (loss * share[images]).sum()
        if measure:
            share = share * self.current_weight()
            for s, t, images in group_by_tasks([Pair(image, t, s) for image, s, t in pairs], device):
                distance = self.distance(predictions, batch, s, t, images)
                distances[self.pair_name(s, t)] = (distance * share[images]).sum()
        return distances, fits

    def mapping_loss(
        self, predictions: Mapping[str, Tensor], batch: Batch, source: int, target: int, images: Int[Tensor, " r"]
    ) -> Float[Tensor, " r"]:
        """The loss of a mapping on images whose target task is labelled."""
        known = known_encoding(self.tasks[source], *select_images(self.tasks[source], predictions, batch, images))
        mapped, name = self.mapping(known, source, target), self.tasks[target].name
        return self.tasks[target].loss(mapped, batch.targets[name][images], batch.valid[name][images])

    def distance(
        self, predictions: Mapping[str, Tensor], batch: Batch, source: int, target: int, images: Int[Tensor, " r"]
    ) -> Float[Tensor, " r"]:
        """Mapped prediction against mapped label, on images whose source task is labelled.

        Where the label has holes, the prediction fills them, so that only valid pixels make a difference.
        """
        task = self.tasks[source]
        prediction, label, valid = select_images(task, predictions, batch, images)
        encoded = task.encode_prediction(prediction)
        label_side = torch.where(valid[:, None], task.encode_target(label, valid).to(encoded.dtype), encoded.detach())
        # One call: the batch norm of the mapping treats both sides alike.
        mapped = self.tasks[target].soft(self.mapping(torch.cat([encoded, label_side]), source, target, fixed=True))
        of_prediction, of_label = mapped.float().chunk(2)
        return masked_mean((of_prediction - of_label.detach()).abs().mean(1), valid)


def select_images(
    task: Task, predictions: Mapping[str, Tensor], batch: Batch, images: Int[Tensor, " r"]
) -> tuple[Float[Tensor, "r c h w"], Tensor, Bool[Tensor, "r h w"]]:
    """Prediction, label and valid pixels of some images."""
    return predictions[task.name][images], batch.targets[task.name][images], batch.valid[task.name][images]
