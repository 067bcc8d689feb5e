"""Positive and negative pairs of maps in the joint space of two tasks: what two objectives share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.networks.network import padded
from mtpsl.objectives.auxiliary import AuxiliaryObjective, parameter_group
from mtpsl.objectives.base import feature_shape
from mtpsl.objectives.mapping import MappingNetwork, PairMapping
from mtpsl.objectives.pairs import PairPlan, on_device, pair_index
from mtpsl.objectives.residual_mapping import ResidualMapping
from mtpsl.objectives.supervised import Reduction
from mtpsl.options import check_positive
from mtpsl.structures import Batch
from mtpsl.tasks import Task

MappingName = Literal["segnet", "resnet18"]
MAPPINGS: dict[MappingName, type[MappingNetwork] | type[ResidualMapping]] = {
    "segnet": MappingNetwork,
    "resnet18": ResidualMapping,
}


class Row(NamedTuple):
    """One call of the mapping: the prediction (or label) of a task for an image, in the space of a pair."""

    is_label: bool
    task: int
    image: int
    pair: int


class Triplets(NamedTuple):
    """Maps of the rows of a plan: the label of the target, the prediction of the source, that for another image."""

    label: Float[Tensor, "r d h w"]
    same: Float[Tensor, "r d h w"]
    other: Float[Tensor, "r d h w"]


class JointSpace(AuxiliaryObjective):
    """Eq. 1 plus a term on maps of predictions and labels in the joint space of each pair of tasks.

    The conditional mapping network is that of `CrossTaskConsistency`: `MappingNetwork` or `ResidualMapping`.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train (its feature map gives the mapping's size).
        weight: weight of the whole term.
        conditional: condition the mapping on the pair; without it one mapping serves all pairs.
        reduction: `mean` divides by the number of labelled and unlabelled tasks (the paper); `sum` does not (its code).
        ramp: share of the training over which the weight rises linearly from 0.
        mapping: the mapping's architecture: `segnet` (published for NYU-v2 and Cityscapes) or `resnet18` (for PASCAL).
        mapping_lr: learning rate of the mapping, by default that of the network.
        film_lr: learning rate of its conditioning, by default that of the mapping.
        film_halving: halve `film_lr` after every so many epochs.
        mapping_width: factor on the mapping's channels, 1 as published.
        mapping_stride: 2 computes the mapping at half resolution, with about a quarter of its operations.
        mapping_checkpoint: keep only what each stage of the mapping takes in, and compute the stage again in the
            backward pass: less memory, a second forward pass of the mapping, the same result.
        task_weights: weight of each task's supervised loss, 1 where a task is not named.
    """

    task_range = (2, None)
    #: draw the sample that stands for a prediction anew for each pair, not once per image
    sample_pairs = False

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        weight: float,
        conditional: bool,
        reduction: Reduction,
        ramp: float,
        mapping: MappingName,
        mapping_lr: float | None,
        film_lr: float | None,
        film_halving: int | None,
        mapping_width: float,
        mapping_stride: int,
        mapping_checkpoint: bool,
        task_weights: Mapping[str, float] | None,
    ) -> None:
        super().__init__(tasks, network, weight=weight, reduction=reduction, ramp=ramp, task_weights=task_weights)
        check_positive(mapping_width=mapping_width, mapping_lr=mapping_lr, film_lr=film_lr)
        if film_halving is not None and film_halving < 1:
            raise ValueError(f"film_halving should be at least 1 epoch, not {film_halving}")
        for name, value in {"film_lr": film_lr, "film_halving": film_halving}.items():
            if value is not None and not conditional:
                raise ValueError(
                    f"{name} belongs to a mapping that is conditioned on the pair (conditional true): switch it off "
                    f"with --objective.{name} null"
                )
        self.mapping_lr, self.film_lr, self.film_halving = mapping_lr, film_lr, film_halving
        channels, self.stride = feature_shape(network)
        if mapping not in MAPPINGS:
            raise ValueError(f"mapping should be one of {', '.join(MAPPINGS)}, not {mapping!r}")
        self.mapping: PairMapping = MAPPINGS[mapping](
            [task.encoding_channels for task in tasks],
            channels,
            stride=self.stride,
            width=mapping_width,
            conditional=conditional,
            mapping_stride=mapping_stride,
        )
        self.mapping.checkpoint = mapping_checkpoint

    def triplets(self, predictions: Mapping[str, Tensor], batch: Batch, plan: PairPlan) -> Triplets:
        """Map label, prediction and another image's prediction for every row of the plan, all in one pass.

        The other image is the next one of the batch (after the last comes the first).
        """
        sources, targets = self.plan_rows(plan)
        others = [row._replace(image=(row.image + 1) % len(batch)) for row in sources]
        return Triplets(*self.map_rows(predictions, batch, [*targets, *sources, *others]).chunk(3))

    def plan_rows(self, plan: PairPlan) -> tuple[list[Row], list[Row]]:
        """What is mapped for the rows of a plan: the prediction of each source, the label of each target."""
        pairs = pair_index(plan.source, plan.target, len(self.tasks)).tolist()
        rows = list(zip(plan.image.tolist(), plan.source.tolist(), plan.target.tolist(), pairs, strict=True))
        return (
            [Row(False, source, image, pair) for image, source, _, pair in rows],
            [Row(True, target, image, pair) for image, _, target, pair in rows],
        )

    def map_rows(
        self, predictions: Mapping[str, Tensor], batch: Batch, rows: Sequence[Row]
    ) -> Float[Tensor, "r d h w"]:
        """Map all rows in one pass: stems once per image and task, and what several rows ask for once."""
        device = batch.images.device
        stems: list[Tensor] = []
        place: dict[tuple[bool, int, int, int], int] = {}
        for is_label, index in sorted({(row.is_label, row.task) for row in rows}):
            task = self.tasks[index]
            inputs = sorted({self.stem_of(row) for row in rows if (row.is_label, row.task) == (is_label, index)})
            mine = on_device([image for _, _, image, _ in inputs], device)
            if is_label:
                encoded = task.encode_target(batch.targets[task.name][mine], batch.valid[task.name][mine])
            else:
                encoded = task.encode_prediction(predictions[task.name][mine])
            place |= {stem: len(place) + number for number, stem in enumerate(inputs)}
            stems.append(self.mapping.stem(padded(encoded, self.stride), index))
        unique = {row: number for number, row in enumerate(dict.fromkeys(rows))}
        gather = on_device([place[self.stem_of(row)] for row in unique], device)
        pairs = on_device([row.pair for row in unique], device)
        chosen = torch.cat(stems).index_select(0, gather)  # its gradient is quicker than that of stems[gather]
        stems.clear()  # else they would take memory until the mapping is through
        mapped = self.mapping(chosen, pairs)
        return mapped.index_select(0, on_device([unique[row] for row in rows], device))

    def stem_of(self, row: Row) -> tuple[bool, int, int, int]:
        """What rows share that have one input: side, task and image, and the pair where each has its own sample."""
        own = self.sample_pairs and not row.is_label and self.tasks[row.task].samples
        return row.is_label, row.task, row.image, row.pair if own else -1

    def parameter_groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """The mapping and its conditioning, each with its own learning rate."""
        mapping_lr = lr if self.mapping_lr is None else self.mapping_lr
        groups = [parameter_group(self.mapping.backbone(), mapping_lr, lr)]
        if conditioning := self.mapping.conditioning():
            film = parameter_group(conditioning, self.film_lr, mapping_lr)
            groups.append({**film, "halve_every": self.film_halving})
        return groups
