"""X-task: perceptual maps that are trained first and frozen then."""

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


class XTask(PerceptualObjective):
    """Eq. 1 plus the perceptual distances of frozen mappings between the tasks.

    Zamir, Sax, Cheerla, Suri, Cao, Malik, Guibas: Robust Learning Through Cross-Task Consistency, CVPR 2020, in the
    form that Li, Liu and Bilen (CVPR 2022, Tab. 5) compare with: a perceptual loss with pre-trained cross-task mapping
    functions. Each term is that of `PerceptualMap`; with all labels, the mappings learn from label to label.

    As published the mappings are trained beforehand, in a run of their own. Here they are trained in the first phase of
    the same run, next to the network, which then sees its supervised losses only. Afterwards they are frozen, with the
    statistics of their norms, and the distances count. The phase follows from the progress of the training alone.

    Args:
        first_phase: share of the training in which the mappings are learned; `term.ramp` begins after it.
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
        first_phase: float = 0.3,
    ) -> None:
        if not 0 < first_phase < 1:
            raise ValueError(f"first_phase is a share of the training, between 0 and 1, not {first_phase}")
        super().__init__(tasks, network, losses, term, mapping, relations)
        self.start = first_phase

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """The terms of the phase that the training is in; those of the other are zero."""
        frozen = self.progress >= self.start
        self.mapping.train(self.training and not frozen)  # at every step, since trainers set the whole module's mode
        predictions = network(batch.images).predictions
        distances, fits = self.perceptual(predictions, batch, measure=frozen, fit=not frozen)
        return self.add_up(predictions, batch, {**distances, **fits})
