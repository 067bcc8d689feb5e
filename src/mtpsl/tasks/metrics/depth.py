"""Errors of depth."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric


class DepthMetric(Metric):
    """Absolute error, relative error and root mean square error over all valid pixels seen.

    The relative error leaves out labels of zero, such as the inverse depth of what is infinitely far.
    """

    full_state_update = False
    higher_is_better = False
    absolute: Tensor
    relative: Tensor
    squared: Tensor
    count: Tensor
    positive: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("absolute", "relative", "squared", "count", "positive"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(
        self, prediction: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"]
    ) -> None:
        """Count a batch of raw predictions; negative ones count as zero, as published."""
        truth = target[:, 0][valid].double()
        error = (prediction[:, 0][valid].double().clamp(min=0) - truth).abs()
        self.absolute += error.sum()
        self.relative += (error / truth)[truth > 0].sum()
        self.squared += error.square().sum()
        self.count += valid.sum()
        self.positive += (truth > 0).sum()

    def compute(self) -> dict[str, Tensor]:
        """The three errors; NaN when nothing was valid."""
        return {
            "abs_err": self.absolute / self.count,
            "rel_err": self.relative / self.positive,
            "rmse": (self.squared / self.count).sqrt(),
        }
