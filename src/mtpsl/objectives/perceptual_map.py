"""Perceptual maps: prediction and label of a task are compared after both are mapped to another task."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from mtpsl.objectives.auxiliary import TermOptions
from mtpsl.objectives.known_relations import RelationOptions
from mtpsl.objectives.mapping.options import MappingOptions
from mtpsl.objectives.perceptual import PerceptualObjective
from mtpsl.objectives.supervised import LossOptions
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task


class PerceptualMap(PerceptualObjective):
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
    - `term.weight` is that of the distances; the mappings always learn with weight 1.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        losses: LossOptions = LossOptions(),
        relations: RelationOptions = RelationOptions(),
        term: TermOptions = TermOptions(),
        mapping: MappingOptions = MappingOptions(),
    ) -> None:
        super().__init__(tasks, network, losses, term, mapping, relations)

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """All terms on the batch; distances are named source->target, the mappings' losses mapping/source->target."""
        predictions = network(batch.images).predictions
        distances, fits = self.perceptual(predictions, batch)
        return self.add_up(predictions, batch, {**distances, **fits})
