"""Angular errors of surface normals."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric


class NormalsMetric(Metric):
    """Mean and median angle and the share of pixels under three angles, over all valid pixels seen.

    The median comes from a histogram with bins of 0.01 degrees, so that its memory does not grow with the set.
    """

    full_state_update = False
    higher_is_better = False
    bins_per_degree = 100
    histogram: Tensor
    total: Tensor
    under: Tensor

    def __init__(self) -> None:
        super().__init__()
        bins = 180 * self.bins_per_degree + 1
        self.add_state("histogram", torch.zeros(bins, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("under", torch.zeros(3, dtype=torch.long), dist_reduce_fx="sum")

    def update(
        self, prediction: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"], valid: Bool[Tensor, "b h w"]
    ) -> None:
        """Count a batch of raw predictions."""
        # In float32 the cosine of equal vectors is off by 1e-7, which acos turns into 0.03 degrees.
        first, second = (x.movedim(1, -1)[valid].double() for x in (prediction, target))
        lengths = (first.square().sum(-1) * second.square().sum(-1)).clamp(min=1e-24).sqrt()
        angle = torch.rad2deg(((first * second).sum(-1) / lengths).clamp(-1, 1).acos())
        bins = (angle.nan_to_num(180.0) * self.bins_per_degree).long()
        self.histogram += torch.bincount(bins, minlength=self.histogram.numel())
        self.total += angle.sum()
        self.under += (angle < angle.new_tensor([11.25, 22.5, 30.0])[:, None]).sum(1)

    def compute(self) -> dict[str, Tensor]:
        """Degrees and percent; NaN when nothing was valid."""
        count = self.histogram.sum()
        # The mean of the two middle values of an even count; the same value twice of an odd one.
        middle = torch.stack(((count + 1) // 2, count // 2 + 1))
        median = (torch.searchsorted(self.histogram.cumsum(0), middle).double().mean() + 0.5) / self.bins_per_degree
        share = 100 * self.under / count
        return {
            "mean_err": self.total / count,
            "median_err": torch.where(count > 0, median, torch.nan),
            "within_11.25": share[0],
            "within_22.5": share[1],
            "within_30": share[2],
        }
