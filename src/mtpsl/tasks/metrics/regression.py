"""Errors of any numbers."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric


class RegressionMetric(Metric):
    """Absolute and root mean square error over all channels of all valid pixels seen; the length of a vector's error.

    Args:
        range: what predictions are brought into.
        vector: whether the first two channels are a vector.
    """

    full_state_update = False
    higher_is_better = False
    absolute: Tensor
    squared: Tensor
    distance: Tensor
    count: Tensor
    pixels: Tensor

    def __init__(self, range: tuple[float, float] | None = None, *, vector: bool = False) -> None:
        super().__init__()
        self.range, self.vector = range, vector
        for name in ("absolute", "squared", "distance", "count", "pixels"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(
        self, prediction: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]
    ) -> None:
        """Count a batch of raw predictions."""
        seen, truth = (x.movedim(1, -1)[valid].double() for x in (prediction, target))
        error = (seen if self.range is None else seen.clamp(*self.range)) - truth
        self.absolute += error.abs().sum()
        self.squared += error.square().sum()
        self.distance += error[:, :2].square().sum(1).sqrt().sum()
        self.count += error.numel()
        self.pixels += len(error)

    def compute(self) -> dict[str, Tensor]:
        """The errors; NaN when nothing was valid."""
        errors = {"abs_err": self.absolute / self.count, "rmse": (self.squared / self.count).sqrt()}
        return errors | ({"end_point_err": self.distance / self.pixels} if self.vector else {})
