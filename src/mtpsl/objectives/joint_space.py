"""Maps of predictions and labels in the joint space of two tasks: what three objectives share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.networks.network import padded
from mtpsl.objectives.auxiliary import AuxiliaryObjective, TermOptions, parameter_group
from mtpsl.objectives.base import feature_level, feature_shape
from mtpsl.objectives.distance import centered
from mtpsl.objectives.known_relations import RelationOptions
from mtpsl.objectives.mapping import MAPPINGS, PairMapping
from mtpsl.objectives.mapping.options import JointMappingOptions
from mtpsl.objectives.mapping.pairs import Pair, Side, to_device
from mtpsl.objectives.supervised import LossOptions
from mtpsl.structures import Batch
from mtpsl.tasks import Task


class Triplets(NamedTuple):
    """Maps of some pairs: the label of the target, the prediction of the source, that for another image."""

    label: Float[Tensor, "r d h w"]
    same: Float[Tensor, "r d h w"]
    other: Float[Tensor, "r d h w"]


class JointSpace(AuxiliaryObjective):
    """Eq. 1 plus a term on maps of predictions and labels in the joint space of each pair of tasks.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train (its feature map gives the mapping's size).
        losses: how losses add up.
        term: the weight of the term.
        mapping: the mapping network.
        relations: known relations between the predictions.
    """

    task_range = (2, None)
    #: draw the sample that stands for a prediction anew for each pair, not once per image
    sample_pairs = False

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        losses: LossOptions,
        term: TermOptions,
        mapping: JointMappingOptions,
        relations: RelationOptions = RelationOptions(),
    ) -> None:
        super().__init__(tasks, network, losses, term, relations, own_lr=mapping.lr)
        self.film_lr, self.film_halving = mapping.film_lr, mapping.film_halving
        _, self.stride = feature_shape(network)
        level = mapping.level or self.stride
        self.channels, self.place = feature_level(network, level)
        self.center, self.conditional = mapping.center, mapping.conditional
        self.mapping: PairMapping = MAPPINGS[mapping.network](
            [task.encoding_channels for task in tasks],
            self.channels,
            stride=level,
            width=mapping.width,
            conditional=mapping.conditional,
            mapping_stride=mapping.stride,
        )
        self.mapping.checkpoint = mapping.checkpoint

    def map_pairs(
        self, predictions: Mapping[str, Tensor], batch: Batch, pairs: Sequence[Pair]
    ) -> tuple[Float[Tensor, "r d h2 w2"], Float[Tensor, "r d h2 w2"]]:
        """The mapped prediction of the source and the mapped label of the target of every pair, all in one pass."""
        sides = [Side.prediction(pair) for pair in pairs] + [Side.label(pair) for pair in pairs]
        source, target = self.map_sides(predictions, batch, sides).chunk(2)
        return source, target

    def map_triplets(self, predictions: Mapping[str, Tensor], batch: Batch, pairs: Sequence[Pair]) -> Triplets:
        """Map label, prediction and another image's prediction for every pair, all in one pass.

        The other image is the next one of the batch (after the last comes the first).
        """
        others = [pair._replace(image=(pair.image + 1) % len(batch)) for pair in pairs]
        sides = [Side.label(pair) for pair in pairs] + [Side.prediction(pair) for pair in [*pairs, *others]]
        return Triplets(*self.map_sides(predictions, batch, sides).chunk(3))

    def map_sides(
        self, predictions: Mapping[str, Tensor], batch: Batch, sides: Sequence[Side]
    ) -> Float[Tensor, "r d h w"]:
        """Map all sides in one pass: stems once per image and task, and what is asked for several times once."""
        device = batch.images.device
        stems: list[Tensor] = []
        place: dict[tuple[bool, int, int, int], int] = {}
        for is_label, index in sorted({(side.is_label, side.task) for side in sides}):
            task = self.tasks[index]
            inputs = sorted({self.stem_key(side) for side in sides if (side.is_label, side.task) == (is_label, index)})
            images = to_device([image for _, _, image, _ in inputs], device)
            if is_label:
                encoded = task.encode_target(batch.targets[task.name][images], batch.valid[task.name][images])
            else:
                encoded = task.encode_prediction(predictions[task.name][images])
            place |= {stem: len(place) + number for number, stem in enumerate(inputs)}
            stems.append(self.mapping.stem(padded(encoded, self.stride), index))
        unique = {self.row_key(side): side for side in sides}
        gather = to_device([place[self.stem_key(side)] for side in unique.values()], device)
        columns = to_device([side.pair.column(len(self.tasks)) for side in unique.values()], device)
        chosen = torch.cat(stems).index_select(0, gather)  # its gradient is quicker than that of stems[gather]
        stems.clear()  # else they would take memory until the mapping is through
        mapped = self.mapping(chosen, columns)
        if self.center:
            mapped = centered(mapped)
        rows = {key: row for row, key in enumerate(unique)}
        return mapped.index_select(0, to_device([rows[self.row_key(side)] for side in sides], device))

    def stem_key(self, side: Side) -> tuple[bool, int, int, int]:
        """What sides share that have one input: label or not, task and image; the other task where a sample is each's.

        A sample is drawn anew for each pair with `sample_pairs`.
        """
        own = self.sample_pairs and not side.is_label and self.tasks[side.task].samples
        return side.is_label, side.task, side.pair.image, side.pair.target if own else -1

    def row_key(self, side: Side) -> tuple[int, ...]:
        """What sides share that have one map: the input, and the pair where the mapping is conditioned on it."""
        stem = self.stem_key(side)
        return (*stem, side.pair.column(len(self.tasks))) if self.conditional else stem

    def parameter_groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """The mapping and its conditioning, each with its own learning rate."""
        mapping_lr = lr if self.own_lr is None else self.own_lr
        groups = [parameter_group(self.mapping.backbone(), mapping_lr, lr)]
        if conditioning := self.mapping.conditioning():
            film = parameter_group(conditioning, self.film_lr, mapping_lr)
            groups.append({**film, "halve_every": self.film_halving})
        return groups
