"""X-task: perceptual maps that are trained first and frozen then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from mtpsl.objectives.perceptual_map import PerceptualMap
from mtpsl.objectives.supervised import Reduction
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task


class XTask(PerceptualMap):
    """Eq. 1 plus the perceptual distances of frozen mappings between the tasks.

    Zamir, Sax, Cheerla, Suri, Cao, Malik, Guibas: Robust Learning Through Cross-Task Consistency, CVPR 2020, in the
    form that Li, Liu and Bilen (CVPR 2022, Tab. 5) compare with: a perceptual loss with pre-trained cross-task mapping
    functions. Each term is that of `PerceptualMap`; with all labels, the mappings learn from label to label.

    As published the mappings are trained beforehand, in a run of their own. Here they are trained in the first phase of
    the same run, next to the network, which then sees its supervised losses only. Afterwards they are frozen, with the
    statistics of their norms, and the distances count. The phase follows from the progress of the training alone.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train.
        first_phase: share of the training in which the mappings are learned.
        weight: weight of the distances in the second phase; the mappings learn with weight 1.
        reduction: `mean` divides by the number of labelled tasks and of pairs; `sum` does not.
        ramp: share of the training over which the weight rises linearly from 0, from the second phase on.
        mapping_lr: learning rate of the mappings, by default that of the network.
        mapping_width: factor on the mappings' channels, 1 as published.
        task_weights: weight of each task's supervised loss, 1 where a task is not named.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        first_phase: float = 0.3,
        weight: float = 1.0,
        reduction: Reduction = "mean",
        ramp: float = 0.0,
        mapping_lr: float | None = None,
        mapping_width: float = 1.0,
        task_weights: Mapping[str, float] | None = None,
    ) -> None:
        if not 0 < first_phase < 1:
            raise ValueError(f"first_phase is a share of the training, between 0 and 1, not {first_phase}")
        super().__init__(
            tasks,
            network,
            weight=weight,
            reduction=reduction,
            ramp=ramp,
            mapping_lr=mapping_lr,
            mapping_width=mapping_width,
            task_weights=task_weights,
        )
        self.start = first_phase

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """The terms of the phase that the training is in; those of the other are zero."""
        frozen = self.progress >= self.start
        self.mapping.train(self.training and not frozen)  # at every step, since trainers set the whole module's mode
        predictions = network(batch.images).predictions
        distances, fits = self.perceptual(predictions, batch, measure=frozen, fit=not frozen)
        return Losses(self.supervised(predictions, batch), {**distances, **fits})
