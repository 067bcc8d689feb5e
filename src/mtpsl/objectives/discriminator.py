"""Discriminator loss: a small network tells pairs of maps of one image from those of two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.networks.segnet import initialize
from mtpsl.objectives.auxiliary import TermOptions, parameter_group
from mtpsl.objectives.joint_space import JointSpace
from mtpsl.objectives.known_relations import RelationOptions
from mtpsl.objectives.mapping.options import JointMappingOptions
from mtpsl.objectives.mapping.pairs import plan_pairs, to_device
from mtpsl.objectives.supervised import LossOptions
from mtpsl.options import check_at_least_one, check_positive
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task


class DiscriminatorLoss(JointSpace):
    """Eq. 1 plus the loss of a network that tells positive from negative pairs, see `ContrastiveLoss` for both.

    "Discriminator-Loss" of Li, Liu, Bilen: Learning Multiple Dense Prediction Tasks from Partially Annotated Data, CVPR
    2022, section 3.2: "The discriminator (a convolutional neural network) takes in positive and negative pairs and
    predicts their binary labels, while the parameters of the MTL network and mapping functions are alternatively
    optimized." It can be read in two ways. Alternating like a generative adversarial network (the default), network and
    mapping maximize the discriminator's loss. But the paper introduces the method as a loss "that does not allow for
    learning of trivial mappings", and a mapping that forgets its input does maximize that loss: this fits the other
    reading, in which all three minimize it (`adversarial=False`).

    One optimization step does both sides: the gradient that leaves the discriminator for the maps is multiplied by
    minus the weight (Ganin, Lempitsky: Unsupervised Domain Adaptation by Backpropagation, ICML 2015), or by the weight
    where all minimize. The discriminator itself always minimizes its loss, with weight 1. It has two convolutions over
    both maps on top of each other, the mean over all pixels, and one linear layer; its size is not published.

    Args:
        adversarial: network and mapping work against the discriminator; otherwise with it.
        discriminator_lr: learning rate of the discriminator, by default that of the network.
        discriminator_channels: channels of the discriminator's two convolutions.
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
        adversarial: bool = True,
        discriminator_lr: float | None = None,
        discriminator_channels: int = 128,
    ) -> None:
        super().__init__(tasks, network, losses, term, mapping, relations)
        check_at_least_one(discriminator_channels=discriminator_channels)
        check_positive(discriminator_lr=discriminator_lr)
        self.adversarial, self.discriminator_lr = adversarial, discriminator_lr
        self.discriminator = PairClassifier(self.channels, discriminator_channels)

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Both terms on the batch; auxiliary losses are named source->target."""
        predictions = network(batch.images).predictions
        return self.add_up(predictions, batch, self.discrimination(predictions, batch))

    def discrimination(self, predictions: Mapping[str, Tensor], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The discriminator's losses of all ordered pairs, zero for a pair that no image of the batch has."""
        labelled, unlabelled = self.labelled(batch), self.unlabelled(batch)
        pairs = plan_pairs(labelled, unlabelled=unlabelled)
        share = self.share(labelled, unlabelled.sum(1))[to_device([pair.image for pair in pairs], labelled.device)]
        if not pairs or len(batch) == 1:
            return self.pair_zeros(batch.images)
        factor = self.current_weight() * (-1 if self.adversarial else 1)
        label, same, other = (scale_gradient(x, factor) for x in self.map_triplets(predictions, batch, pairs))
        logits = self.discriminator(torch.cat([same, other]), torch.cat([label, label]))
        return self.pair_sums(pairs, pair_loss(*logits.chunk(2)) * share)

    def parameter_groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """Mapping, conditioning and discriminator, each with its own learning rate."""
        own = parameter_group(self.discriminator.parameters(), self.discriminator_lr, lr)
        return [*super().parameter_groups(lr), own]


class PairClassifier(nn.Module):
    """Two maps on top of each other to one logit: positive where they belong to the same image."""

    def __init__(self, map_channels: int, channels: int) -> None:
        super().__init__()
        # No norm: it would tell a batch's positive rows from its negative ones by their share.
        self.layers = nn.Sequential(
            nn.Conv2d(2 * map_channels, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.output = nn.Linear(channels, 1)
        self.apply(initialize)

    def forward(self, source: Float[Tensor, "r d h w"], target: Float[Tensor, "r d h w"]) -> Float[Tensor, " r"]:
        """One logit per row."""
        return self.output(self.layers(torch.cat([source, target], 1)).mean((-2, -1)))[:, 0].float()


class ScaledGradient(torch.autograd.Function):
    """The identity, with a factor on its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:  # noqa: D102
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: D102
        return grad * ctx.factor, None


def scale_gradient(x: Float[Tensor, "r d h w"], factor: float) -> Float[Tensor, "r d h w"]:
    """`x`, with a factor on the gradient that passes through it; a negative one reverses it."""
    return ScaledGradient.apply(x, factor)


def pair_loss(positive: Float[Tensor, " r"], negative: Float[Tensor, " r"]) -> Float[Tensor, " r"]:
    """Binary cross-entropy of the logits of a positive and a negative pair, averaged over both."""
    return (F.softplus(-positive) + F.softplus(negative)) / 2
