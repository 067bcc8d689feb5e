"""Boundaries of objects or regions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.structures import TargetSpec, masked_mean
from mtpsl.tasks.base import Task, paint_invalid
from mtpsl.tasks.boundaries import BoundaryMetric


class Edges(Task):
    """A boundary or none for every pixel: weighted binary cross-entropy, odsF.

    Args:
        name: the task's name.
        positive_weight: weight of boundary pixels; the others weigh one minus it.
        tolerance: matching distance as a share of the image's diagonal.
        thresholds: how many probabilities between 0 and 1 are tried.
    """

    score_types = {"odsf": ("%", True)}
    primary = "odsf"

    def __init__(
        self,
        name: str = "edges",
        *,
        positive_weight: float = 0.95,
        tolerance: float = 0.0075,
        thresholds: int = 99,
    ) -> None:
        super().__init__(name)
        if not 0 < positive_weight < 1:
            raise ValueError(f"{name}: positive_weight should lie between 0 and 1, not {positive_weight}")
        self.positive_weight, self.tolerance, self.thresholds = positive_weight, tolerance, thresholds
        self.out_channels = self.encoding_channels = 1
        self.target_spec = TargetSpec(1, torch.float32)

    def options(self) -> dict[str, Any]:
        """Loss weight and how odsF is computed."""
        return {"positive_weight": self.positive_weight, "tolerance": self.tolerance, "thresholds": self.thresholds}

    def loss(
        self, prediction: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, " b"]:
        """Weighted binary cross-entropy."""
        target = target.masked_fill(~valid[:, None], 0.0)  # zero times a hidden NaN would be a NaN gradient
        weight = torch.where(target > 0.5, self.positive_weight, 1 - self.positive_weight)
        pixels = F.binary_cross_entropy_with_logits(prediction, target, weight, reduction="none")
        return masked_mean(pixels[:, 0], valid)

    def decode(self, prediction: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """The probability of a boundary."""
        return prediction.sigmoid()

    def soft(self, prediction: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """The probability of a boundary."""
        return prediction.sigmoid()

    def encode_prediction(self, prediction: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """The probability of a boundary."""
        return prediction.sigmoid()

    def encode_target(self, target: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b 1 h w"]:
        """1 on a boundary."""
        return target.masked_fill(~valid[:, None], 0.0)

    def metric(self) -> BoundaryMetric:
        """OdsF over all images of the set, in percent."""
        return BoundaryMetric(tolerance=self.tolerance, thresholds=self.thresholds)

    def colorize(
        self, values: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"] | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """White on dark blue."""
        unit = values.clamp(0, 1)
        return paint_invalid(unit + (1 - unit) * unit.new_tensor([0.05, 0.07, 0.2]).view(3, 1, 1), valid)
