"""What catches the eye."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.structures import masked_mean
from mtpsl.tasks.binary import BinaryTask

if TYPE_CHECKING:
    import torchmetrics  # takes two seconds, which what only reads data need not spend


class Saliency(BinaryTask):
    """Salient or not, for every pixel: class-balanced binary cross-entropy, mIoU and maxF.

    Args:
        name: the task's name.
    """

    score_types = {"miou": ("%", True), "maxf": ("%", True), "image_iou": ("%", True)}
    primary = "image_iou"
    ground = (0.16, 0.05, 0.14)

    def __init__(self, name: str = "saliency") -> None:
        super().__init__(name)

    def loss(
        self, prediction: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, " b"]:
        """Class-balanced binary cross-entropy, averaged over all valid pixels of each image.

        S. Xie, Z. Tu, "Holistically-nested edge detection", ICCV 2015, Eq. 2: a salient pixel weighs the share of valid
        pixels that are not salient, any other one the share of those that are. So both classes together weigh the same,
        and an image that shows only one of them has loss zero. Two departures: the paper sums over pixels, public
        multi-task code for PASCAL (S. Vandenhende et al., PAMI 2021) averages, and so does this; that code takes the
        shares over the whole batch, this over each image, since images without a label must not change the others.
        """
        target = target.masked_fill(~valid[:, None], 0.0)  # zero times a hidden NaN would be a NaN gradient
        salient = target > 0.5
        share = masked_mean(salient[:, 0].to(prediction.dtype), valid).view(-1, 1, 1, 1)
        weight = torch.where(salient, 1 - share, share)
        pixels = F.binary_cross_entropy_with_logits(prediction, target, weight, reduction="none")
        return masked_mean(pixels[:, 0], valid)

    def metric(self) -> torchmetrics.Metric:
        """Overlap and F-measure over all images of the set, in percent."""
        from mtpsl.tasks.metrics.saliency import SaliencyMetric

        return SaliencyMetric()
