"""Overlap of classes, and the share of right pixels."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchmetrics import Metric

from mtpsl.tasks.class_map import Absent


class SegmentationMetric(Metric):
    """Mean intersection over union and pixel accuracy, both from ONE confusion matrix over everything seen.

    Args:
        num_classes: how many classes there are.
        absent: whether mIoU leaves out a class absent from predictions and labels or counts it as 0.
    """

    full_state_update = False
    higher_is_better = True
    confusion: Tensor

    def __init__(self, num_classes: int, absent: Absent = "skip") -> None:
        super().__init__()
        self.num_classes, self.absent = num_classes, absent
        self.add_state("confusion", torch.zeros(num_classes, num_classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(
        self, prediction: Float[Tensor, "b c h w"], target: Int[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]
    ) -> None:
        """Count a batch of raw predictions."""
        pairs = target[valid] * self.num_classes + prediction.argmax(1)[valid]
        self.confusion += torch.bincount(pairs, minlength=self.num_classes**2).view_as(self.confusion)

    def compute(self) -> dict[str, Tensor]:
        """Both scores in percent; NaN when nothing was valid."""
        ious = self.ious()
        ious = ious[ious.isfinite()]
        count = self.num_classes if self.absent == "zero" and len(ious) else len(ious)
        return {
            "miou": 100 * ious.sum() / count,
            "pixel_accuracy": 100 * self.confusion.diagonal().double().sum() / self.confusion.sum(),
        }

    def ious(self) -> Float[Tensor, " c"]:
        """Intersection over union of every class, from 0 to 1; NaN for one neither predicted nor labelled."""
        correct = self.confusion.diagonal().double()
        return correct / (self.confusion.sum(0) + self.confusion.sum(1) - correct)
