"""Depth along the optical axis, or its inverse."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.structures import TargetSpec, masked_mean
from mtpsl.tasks.base import Task, paint_invalid
from mtpsl.tasks.depth_losses import gradient_loss, log_ratio, scale_invariant
from mtpsl.tasks.drawing import ColorScale, ErrorAmounts

if TYPE_CHECKING:
    import torchmetrics  # takes two seconds, which what only reads data need not spend

DepthLoss = Literal["l1", "silog"]


class Depth(Task):
    """Depth: L1 or scale-invariant loss, absolute and relative error, root mean square error.

    Args:
        name: the task's name.
        unit: the unit of labels, predictions and errors; by default m, or 1/m of inverse depth.
        inverse: labels and predictions are one over the depth (up to a factor), as disparities are.
        loss: `l1`, the absolute difference, or `silog`, the scale-invariant error of logarithms, which leaves out
            labels of zero (`depth_losses.scale_invariant`).
        gradient: weight of a loss that compares gradients at four resolutions and is added
            (`depth_losses.gradient_loss`); those of logarithms where `loss` is `silog`.
    """

    score_types = {"abs_err": ("m", False), "rel_err": ("", False), "rmse": ("m", False)}
    primary = "abs_err"

    def __init__(
        self,
        name: str = "depth",
        *,
        unit: str | None = None,
        inverse: bool = False,
        loss: DepthLoss = "l1",
        gradient: float = 0.0,
    ) -> None:
        super().__init__(name)
        if loss not in get_args(DepthLoss):
            raise ValueError(f"{name}: loss should be l1 or silog, not {loss!r}")
        if not 0 <= gradient < math.inf:
            raise ValueError(f"{name}: gradient should be a weight of 0 or more, not {gradient}")
        self.loss_kind: DepthLoss = loss
        self.gradient = float(gradient)
        self.inverse = inverse
        self.unit = ("1/m" if inverse else "m") if unit is None else unit
        self.score_types = {"abs_err": (self.unit, False), "rel_err": ("", False), "rmse": (self.unit, False)}
        self.out_channels = self.encoding_channels = 1
        self.target_spec = TargetSpec(1, torch.float32)

    def options(self) -> dict[str, Any]:
        """The unit, whether depth is inverse, and the loss."""
        return {"unit": self.unit, "inverse": self.inverse, "loss": self.loss_kind, "gradient": self.gradient}

    def loss(
        self, prediction: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, " b"]:
        """Absolute difference or scale-invariant error, and the difference of gradients."""
        if self.loss_kind == "silog":
            target = target.masked_fill(~valid[:, None], 1.0)  # zero times a hidden NaN would be a NaN gradient
            valid = valid & (target[:, 0] > 0)
            difference = log_ratio(prediction[:, 0], target[:, 0].masked_fill(~valid, 1.0))
            loss = scale_invariant(difference, valid)
        else:
            difference = (prediction - target)[:, 0]
            loss = masked_mean(difference.abs(), valid)
        return loss + self.gradient * gradient_loss(difference, valid) if self.gradient else loss

    def decode(self, prediction: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """The prediction; nothing is behind the camera, so negative values become zero."""
        return prediction.clamp(min=0)

    def soft(self, prediction: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """The prediction as it is: negative values keep their gradient."""
        return prediction

    def label_from(self, soft: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """As `decode` has it: nothing is behind the camera."""
        return self.decode(soft)

    def encode_prediction(self, prediction: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """The prediction over its maximum in the image, so that the mapping sees values up to 1."""
        return prediction / (prediction.amax((1, 2, 3), keepdim=True) + 1e-12)

    def encode_target(self, target: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b 1 h w"]:
        """As for a prediction; the maximum is taken over valid pixels."""
        return self.encode_prediction(target.masked_fill(~valid[:, None], 0.0))

    def zoom(self, target: Float[Tensor, "b 1 h w"], scale: Float[Tensor, " b"]) -> Float[Tensor, "b 1 h w"]:
        """What is magnified is nearer: divide depth, multiply inverse depth."""
        factor = scale.view(-1, 1, 1, 1)
        return target * factor if self.inverse else target / factor

    def metric(self) -> torchmetrics.Metric:
        """Errors over all valid pixels of the set."""
        from mtpsl.tasks.metrics.depth import DepthMetric

        return DepthMetric()

    def colorize(
        self, values: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"] | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """Near is bright (matplotlib's magma); the farthest is dark violet, since black is not valid."""
        mask = torch.ones_like(values[:, 0], dtype=torch.bool) if valid is None else valid
        seen = values[:, 0][mask]
        low, high = (seen.min(), seen.max()) if seen.numel() else (0.0, 1.0)
        unit = ((values[:, 0] - low) / max(float(high - low), 1e-6)).nan_to_num(0.0).clamp(0, 1)
        return paint_invalid(magma(0.1 + 0.9 * (unit if self.inverse else 1 - unit)), mask)

    def legend(self, values: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"]) -> ColorScale | None:
        """The range of depth."""
        seen = values[:, 0][valid]
        if not len(seen):
            return None
        low, high = float(seen.min()), float(seen.max())
        ramp = torch.linspace(low, high, 256).view(1, 1, 1, 256)
        return ColorScale(self.colorize(ramp)[0, :, 0], low, high, self.unit)

    def error_map(
        self, prediction: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"]
    ) -> ErrorAmounts:
        """The absolute error, in the unit of depth."""
        return ErrorAmounts((self.decode(prediction) - target).abs()[:, 0], self.unit)


def magma(unit: Float[Tensor, "b h w"]) -> Float[Tensor, "b 3 h w"]:
    """Values from 0 (dark) to 1 (bright) in matplotlib's magma colors."""
    from matplotlib import colormaps  # drawing only: importing it at the top would slow every start

    table = torch.tensor(colormaps["magma"](range(256))[:, :3], dtype=torch.float32, device=unit.device)
    return table[(unit * (len(table) - 1)).round().long()].permute(0, 3, 1, 2)
