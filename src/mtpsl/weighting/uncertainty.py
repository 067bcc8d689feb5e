"""Weights from learned uncertainties."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.options import check_finite, check_positive
from mtpsl.structures import Batch, Losses
from mtpsl.weighting.base import LossWeighting, labelled_tasks


class Uncertainty(LossWeighting):
    """0.5 exp(-s) L + 0.5 s for every task with a label in the batch, s = log(sigma^2) learned with the network.

    Kendall, Gal, Cipolla: Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics, CVPR
    2018, Eq. 7, L / (2 sigma^2) + log(sigma), in the form that their section 4 recommends for its numerical stability,
    and for all kinds of losses alike: their classification term (Eq. 10) lacks the factor 0.5, which only shifts s.
    With `start` 0 every task starts with weight 0.5. The s of a task without a label has no gradient.

    Args:
        weight_lr: learning rate of the uncertainties, by default that of the network.
        start: the value of every s before the first step (-0.5 in the code of Liu, Johns and Davison, CVPR 2019, which
            later codes for NYU-v2 and Cityscapes share).
    """

    def __init__(self, tasks: Sequence[str], *, weight_lr: float | None = None, start: float = 0.0) -> None:
        super().__init__(tasks)
        check_positive(weight_lr=weight_lr)
        check_finite(start=start)
        self.weight_lr = weight_lr
        self.log_variance = nn.Parameter(torch.full((len(tasks),), float(start)))

    def total(self, losses: Losses, network: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """The weighted losses plus the penalties for uncertainty."""
        labelled = labelled_tasks(batch, self.tasks)
        penalty = 0.5 * (self.log_variance * labelled).sum()
        return self.weighted(losses, 0.5 * torch.exp(-self.log_variance)) + penalty

    def parameter_groups(self, lr: float) -> list[dict[str, object]]:
        """The uncertainties."""
        rate = lr if self.weight_lr is None else self.weight_lr
        return [{"params": [self.log_variance], "lr": rate, "weight_decay": 0.0}]
