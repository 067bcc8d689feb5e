"""Contrastive loss: predictions and labels of one image lie closer in a pair's joint space than those of two images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.objectives.joint_space import JointSpace, MappingName
from mtpsl.objectives.mapping import cosine_distance
from mtpsl.objectives.pairs import on_device, plan_pairs
from mtpsl.objectives.supervised import Reduction
from mtpsl.options import check_not_negative
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task


class ContrastiveLoss(JointSpace):
    """Eq. 1 plus max(0, d(positive) - d(negative) + margin), for every unlabelled task s and labelled t of an image.

    "Contrastive-Loss" of Li, Liu, Bilen: Learning Multiple Dense Prediction Tasks from Partially Annotated Data, CVPR
    2022, section 3.2, in place of the consistency and its regularizer. The positive pair is the mapped prediction of s
    and the mapped label of t for the same image; in the negative one the prediction is for another image of the batch,
    here the next one, so a batch of one image has none and gives zero. d is the cosine distance, averaged over pixels.

    The paper names no margin. Without one a mapping that forgets its input has no loss at all. Mapped values are not
    negative, so distances lie between 0 and 1; the default asks for half of that.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train (its feature map gives the mapping's size).
        weight: weight of the whole term.
        margin: how much farther apart negative pairs should be than positive ones.
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

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        weight: float = 1.0,
        margin: float = 0.5,
        conditional: bool = True,
        reduction: Reduction = "mean",
        ramp: float = 0.0,
        mapping: MappingName = "segnet",
        mapping_lr: float | None = None,
        film_lr: float | None = None,
        film_halving: int | None = None,
        mapping_width: float = 1.0,
        mapping_stride: int = 1,
        mapping_checkpoint: bool = False,
        task_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(
            tasks,
            network,
            weight=weight,
            conditional=conditional,
            reduction=reduction,
            ramp=ramp,
            mapping=mapping,
            mapping_lr=mapping_lr,
            film_lr=film_lr,
            film_halving=film_halving,
            mapping_width=mapping_width,
            mapping_stride=mapping_stride,
            mapping_checkpoint=mapping_checkpoint,
            task_weights=task_weights,
        )
        check_not_negative(margin=margin)
        self.margin = margin

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Both terms on the batch; auxiliary losses are named source->target."""
        predictions = network(batch.images).predictions
        return Losses(self.supervised(predictions, batch), self.contrasts(predictions, batch))

    def contrasts(self, predictions: Mapping[str, Tensor], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms of all ordered pairs, zero for a pair that no image of the batch has."""
        labelled, unlabelled = self.labelled(batch), self.unlabelled(batch)
        plan = plan_pairs(
            labelled.cpu(), unlabelled=unlabelled.cpu()
        )  # the one host synchronization: which rows there are is control flow
        share = self.share(labelled, unlabelled.sum(1))[on_device(plan.image, labelled.device)]
        if not len(plan) or len(batch) == 1:
            return self.pair_zeros(batch.images)
        losses = hinge(*self.triplets(predictions, batch, plan), self.margin)
        return self.pair_sums(plan, self.current_weight() * losses * share)


def hinge(
    label: Float[Tensor, "r d h w"], same: Float[Tensor, "r d h w"], other: Float[Tensor, "r d h w"], margin: float
) -> Float[Tensor, " r"]:
    """How much each positive pair is short of being closer than the negative one by `margin`."""
    return F.relu(cosine_distance(same, label) - cosine_distance(other, label) + margin)
