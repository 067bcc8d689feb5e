"""Overlap of classes that may share a pixel."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric


class MultiLabelMetric(Metric):
    """Intersection over union of every class, from sums over everything seen.

    Args:
        num_classes: how many classes there are.
    """

    full_state_update = False
    higher_is_better = True
    hits: Tensor
    union: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        for name in ("hits", "union"):
            self.add_state(name, torch.zeros(num_classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(
        self, prediction: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]
    ) -> None:
        """Count a batch of raw predictions."""
        seen, truth = (x.movedim(1, -1)[valid] for x in (prediction > 0, target > 0.5))
        self.hits += (seen & truth).sum(0)
        self.union += (seen | truth).sum(0)

    def compute(self) -> dict[str, Tensor]:
        """The mean over classes that are predicted or labelled, in percent; NaN where none is."""
        return {"miou": 100 * self.ious().nanmean()}

    def ious(self) -> Float[Tensor, " c"]:
        """Intersection over union of every class, from 0 to 1; NaN for one neither predicted nor labelled."""
        return self.hits.double() / self.union
