"""Contrastive loss: predictions and labels of one image lie closer in a pair's joint space than those of two images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.objectives.auxiliary import TermOptions
from mtpsl.objectives.distance import cosine_distance
from mtpsl.objectives.joint_space import JointSpace
from mtpsl.objectives.known_relations import RelationOptions
from mtpsl.objectives.mapping.options import JointMappingOptions
from mtpsl.objectives.mapping.pairs import plan_pairs, to_device
from mtpsl.objectives.supervised import LossOptions
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
        margin: how much farther apart negative pairs should be than positive ones.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        losses: LossOptions = LossOptions(),
        relations: RelationOptions = RelationOptions(),
        term: TermOptions = TermOptions(),
        mapping: JointMappingOptions = JointMappingOptions(),
        margin: float = 0.5,
    ) -> None:
        super().__init__(tasks, network, losses, term, mapping, relations)
        check_not_negative(margin=margin)
        self.margin = margin

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Both terms on the batch; auxiliary losses are named source->target."""
        predictions = network(batch.images).predictions
        return self.add_up(predictions, batch, self.contrasts(predictions, batch))

    def contrasts(self, predictions: Mapping[str, Tensor], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms of all ordered pairs, zero for a pair that no image of the batch has."""
        labelled, unlabelled = self.labelled(batch), self.unlabelled(batch)
        pairs = plan_pairs(labelled, unlabelled=unlabelled)
        share = self.share(labelled, unlabelled.sum(1))[to_device([pair.image for pair in pairs], labelled.device)]
        if not pairs or len(batch) == 1:
            return self.pair_zeros(batch.images)
        losses = hinge(*self.map_triplets(predictions, batch, pairs), self.margin)
        return self.pair_sums(pairs, self.current_weight() * losses * share)


def hinge(
    label: Float[Tensor, "r d h w"], same: Float[Tensor, "r d h w"], other: Float[Tensor, "r d h w"], margin: float
) -> Float[Tensor, " r"]:
    """How much each positive pair is short of being closer than the negative one by `margin`."""
    return F.relu(cosine_distance(same, label) - cosine_distance(other, label) + margin)
