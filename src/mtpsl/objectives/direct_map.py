"""Direct maps: the prediction of an unlabelled task, mapped to a labelled one, is compared with that one's label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.objectives.auxiliary import AuxiliaryObjective, parameter_group
from mtpsl.objectives.pair_maps import PairMaps, by_pair
from mtpsl.objectives.pairs import plan_pairs
from mtpsl.objectives.supervised import Reduction
from mtpsl.options import check_positive
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task


class DirectMap(AuxiliaryObjective):
    """Eq. 1 plus, for every unlabelled task s and labelled task t of an image, t's loss of s's prediction mapped to t.

    "Direct-Map" of Li, Liu, Bilen: Learning Multiple Dense Prediction Tasks from Partially Annotated Data, CVPR 2022,
    section 3.2: Eq. 4 with its terms replaced by L(m(prediction of s), label of t). Every ordered pair has a SegNet of
    its own. Our reading: L is the supervised loss of t, and one gradient trains both the network and the mapping.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train.
        weight: weight of the whole term.
        reduction: `mean` divides by the number of labelled and unlabelled tasks (the paper); `sum` does not (its code).
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
        """Both terms on the batch; auxiliary losses are named source->target."""
        predictions = network(batch.images).predictions
        return Losses(self.supervised(predictions, batch), self.mapped_losses(predictions, batch))

    def mapped_losses(self, predictions: Mapping[str, Tensor], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms of all ordered pairs, zero for a pair that no image of the batch has."""
        labelled, unlabelled = self.labelled(batch), self.unlabelled(batch)
        plan = plan_pairs(
            labelled.cpu(), unlabelled=unlabelled.cpu()
        )  # the one host synchronization: which rows there are is control flow
        share = self.current_weight() * self.share(labelled, unlabelled.sum(1))
        terms = self.pair_zeros(batch.images)
        encoded = {
            s: self.tasks[s].encode_prediction(predictions[self.tasks[s].name]) for s in plan.source.unique().tolist()
        }
        for s, t, rows in by_pair(plan, batch.images.device):
            target = self.tasks[t]
            mapped = self.mapping(encoded[s][rows], s, t)
            loss = target.loss(mapped, batch.targets[target.name][rows], batch.valid[target.name][rows])
            terms[self.pair_name(s, t)] = (loss * share[rows]).sum()
        return terms

    def parameter_groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """The mappings, with their own learning rate."""
        return [parameter_group(self.parameters(), self.mapping_lr, lr)]
