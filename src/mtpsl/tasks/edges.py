"""Boundaries of objects or regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.structures import masked_mean
from mtpsl.tasks.binary import BinaryTask
from mtpsl.tasks.drawing import FALSE, HIT, MISSED, ErrorKinds
from mtpsl.tasks.edge_errors import edge_errors

if TYPE_CHECKING:
    import torchmetrics  # takes two seconds, which what only reads data need not spend


class Edges(BinaryTask):
    """A boundary or none for every pixel: weighted binary cross-entropy, odsF.

    Args:
        name: the task's name.
        positive_weight: weight of boundary pixels; the others weigh one minus it.
        tolerance: matching distance as a share of the image's diagonal.
        thresholds: how many probabilities between 0 and 1 are tried.
        nms: before thinning, keep only probabilities that are largest across the boundary.
        workers: processes that score the images of a batch; by default one for every core.
    """

    score_types = {"odsf": ("%", True)}
    primary = "odsf"
    ground = (0.05, 0.07, 0.2)
    opacity = 0.9

    def __init__(
        self,
        name: str = "edges",
        *,
        positive_weight: float = 0.95,
        tolerance: float = 0.0075,
        thresholds: int = 99,
        nms: bool = False,
        workers: int | None = None,
    ) -> None:
        super().__init__(name)
        if not 0 < positive_weight < 1:
            raise ValueError(f"{name}: positive_weight should lie between 0 and 1, not {positive_weight}")
        self.positive_weight, self.tolerance, self.thresholds = positive_weight, tolerance, thresholds
        self.nms, self.workers = nms, workers

    def options(self) -> dict[str, Any]:
        """Loss weight and how odsF is computed."""
        return {
            "positive_weight": self.positive_weight,
            "tolerance": self.tolerance,
            "thresholds": self.thresholds,
            "nms": self.nms,
            "workers": self.workers,
        }

    def loss(
        self, prediction: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, " b"]:
        """Weighted binary cross-entropy."""
        target = target.masked_fill(~valid[:, None], 0.0)  # zero times a hidden NaN would be a NaN gradient
        weight = torch.where(target > 0.5, self.positive_weight, 1 - self.positive_weight)
        pixels = F.binary_cross_entropy_with_logits(prediction, target, weight, reduction="none")
        return masked_mean(pixels[:, 0], valid)

    def unweighted(self, soft: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """The probability p of a boundary, of which the loss's weight w makes p w / (p w + (1 - p)(1 - w)).

        >>> Edges(positive_weight=0.75).unweighted(torch.tensor([[[[0.75, 1.0]]]]))
        tensor([[[[0.5000, 1.0000]]]])
        """
        there, absent = soft * (1 - self.positive_weight), (1 - soft) * self.positive_weight
        return there / (there + absent)

    def metric(self) -> torchmetrics.Metric:
        """OdsF over all images of the set, in percent."""
        from mtpsl.tasks.boundaries import BoundaryMetric

        return BoundaryMetric(tolerance=self.tolerance, thresholds=self.thresholds, nms=self.nms, workers=self.workers)

    def error_map(
        self, prediction: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"]
    ) -> ErrorKinds:
        """Hit, missed and false lines at each image's best threshold, see `edge_errors`."""
        probability = self.decode(prediction)[:, 0].double().nan_to_num(0.0).cpu().numpy()
        label, mask = (target[:, 0] > 0.5).cpu().numpy(), valid.cpu().numpy()
        distance = self.tolerance * float(np.hypot(*label.shape[1:]))
        kinds = [
            edge_errors(*image, distance=distance, thresholds=self.thresholds, nms=self.nms)
            for image in zip(probability, label, mask, strict=True)
        ]
        entries = (("no edge", None), ("missed", MISSED), ("false", FALSE), ("hit", HIT))
        return ErrorKinds(torch.from_numpy(np.stack(kinds)), entries)
