"""Any numbers per pixel: albedo, height, heat maps, optical flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.structures import TargetSpec, masked_mean
from mtpsl.tasks.base import Task, paint_invalid
from mtpsl.tasks.depth import magma
from mtpsl.tasks.drawing import ColorDisk, ColorScale, ErrorAmounts, disk

if TYPE_CHECKING:
    import torchmetrics  # takes two seconds, which what only reads data need not spend

RegressionLoss = Literal["l1", "l2", "huber"]
Vector = Literal["image"]


class Regression(Task):
    """Numbers of any meaning: L1, L2 or Huber loss, absolute error and root mean square error over all channels.

    Args:
        name: the task's name.
        channels: how many numbers a pixel has.
        loss: the absolute difference (`l1`), its square (`l2`), or half of the square up to a difference of 1 and
            linear from there on (`huber`), averaged over channels.
        unit: the unit of labels, predictions and errors.
        range: the smallest and the largest number that can be; decoded predictions are brought into it.
        vector: `image` where the first two channels are a vector in the plane of the image, x to the right and y down,
            both in one unit of length in the image: it follows when the image is mirrored, magnified or turned.

    Raises:
        ValueError: an option that means nothing.
    """

    score_types = {"abs_err": ("", False), "rmse": ("", False)}
    primary = "abs_err"

    def __init__(
        self,
        name: str = "regression",
        *,
        channels: int = 1,
        loss: RegressionLoss = "l1",
        unit: str = "",
        range: Sequence[float] | None = None,
        vector: Vector | None = None,
    ) -> None:
        super().__init__(name)
        try:
            check_regression(channels, loss, range, vector)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        self.loss_kind: RegressionLoss = loss
        self.unit, self.vector = unit, vector
        self.range = None if range is None else (float(range[0]), float(range[1]))
        self.score_types = {"abs_err": (unit, False), "rmse": (unit, False)}
        if vector:
            self.score_types["end_point_err"] = (unit, False)
        self.out_channels = self.encoding_channels = channels
        self.target_spec = TargetSpec(channels, torch.float32)

    def options(self) -> dict[str, Any]:
        """Channels, loss, unit, range and geometry."""
        return {
            "channels": self.out_channels,
            "loss": self.loss_kind,
            "unit": self.unit,
            "range": None if self.range is None else [*self.range],
            "vector": self.vector,
        }

    def loss(
        self, prediction: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, " b"]:
        """The mean over channels of the difference, its square or Huber's function of it."""
        target = target.masked_fill(~valid[:, None], 0.0)  # zero times a hidden NaN would be a NaN gradient
        if self.loss_kind == "l1":
            numbers = F.l1_loss(prediction, target, reduction="none")
        elif self.loss_kind == "l2":
            numbers = F.mse_loss(prediction, target, reduction="none")
        else:
            numbers = F.huber_loss(prediction, target, reduction="none")
        return masked_mean(numbers.mean(1), valid)

    def decode(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The prediction, within the range where there is one."""
        return prediction if self.range is None else prediction.clamp(*self.range)

    def soft(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The prediction as it is: values beyond the range keep their gradient."""
        return prediction

    def label_from(self, soft: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """As `decode` has it: within the range where there is one."""
        return self.decode(soft)

    def encode_prediction(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The range, or minus to plus the largest absolute value of the image, brought to 0..1."""
        if self.range is not None:
            low, high = self.range
            return (self.decode(prediction) - low) / (high - low)
        return (prediction / (prediction.abs().amax((1, 2, 3), keepdim=True) + 1e-12) + 1) / 2

    def encode_target(self, target: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b c h w"]:
        """As for a prediction; 0.5 where not valid."""
        known = target.masked_fill(~valid[:, None], 0.0)
        return self.encode_prediction(known).masked_fill(~valid[:, None], 0.5)

    def mirror(self, target: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Left becomes right: negate a vector's x."""
        return torch.cat((-target[:, :1], target[:, 1:]), 1) if self.vector else target

    def zoom(self, target: Float[Tensor, "b c h w"], scale: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """What is magnified moves farther in the image: multiply a vector."""
        if not self.vector:
            return target
        return torch.cat((target[:, :2] * scale.view(-1, 1, 1, 1), target[:, 2:]), 1)

    def rotate(self, target: Float[Tensor, "b c h w"], angle: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """Turn a vector, whose y points down."""
        if not self.vector:
            return target
        cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
        x, y = target[:, 0], target[:, 1]
        return torch.cat((torch.stack((cos * x + sin * y, cos * y - sin * x), 1), target[:, 2:]), 1)

    def metric(self) -> torchmetrics.Metric:
        """Errors over all valid pixels of the set."""
        from mtpsl.tasks.metrics.regression import RegressionMetric

        return RegressionMetric(self.range, vector=self.vector is not None)

    def colorize(
        self, values: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"] | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """Vectors on a color wheel (the direction is the hue), three channels as RGB, else the first one in magma."""
        mask = torch.ones_like(values[:, 0], dtype=torch.bool) if valid is None else valid
        shown = values.masked_fill(~mask[:, None], 0.0)
        if self.vector:
            return paint_invalid(wheel(shown[:, 0], shown[:, 1]), mask)
        shown = shown if self.out_channels == 3 else shown[:, :1]
        low, high = self.range or (0.0, 1.0)
        if self.range is None and mask.any():
            seen = shown.movedim(1, -1)[mask]
            low, high = float(seen.min()), float(seen.max())
        unit = ((shown - low) / max(high - low, 1e-6)).nan_to_num(0.0).clamp(0, 1)
        return paint_invalid(unit if self.out_channels == 3 else magma(0.1 + 0.9 * unit[:, 0]), mask)

    def legend(self, values: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]) -> ColorDisk | ColorScale | None:
        """A wheel of directions for vectors, a scale for a channel; three channels are RGB themselves."""
        seen = values[:, :2].movedim(1, -1)[valid]
        if not len(seen) or (self.out_channels == 3 and not self.vector):
            return None
        if self.vector:
            x, y, inside = disk()
            vectors = torch.zeros(1, self.out_channels, *x.shape)
            vectors[0, :2] = torch.stack([x, -y]) * inside
            longest = f"{float(seen.square().sum(-1).sqrt().max()):.3g} {self.unit}".rstrip()
            return ColorDisk(self.colorize(vectors)[0], inside, ("up", "right", "down", "left"), f"rim: {longest}")
        low, high = self.range or (float(seen[:, 0].min()), float(seen[:, 0].max()))
        ramp = torch.zeros(1, self.out_channels, 1, 256)
        ramp[:, 0] = torch.linspace(low, high, 256)
        return ColorScale(self.colorize(ramp)[0, :, 0], low, high, self.unit)

    def error_map(
        self, prediction: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]
    ) -> ErrorAmounts:
        """The length of a vector's error, or the absolute error averaged over channels."""
        error = self.decode(prediction) - target
        amount = error[:, :2].square().sum(1).sqrt() if self.vector else error.abs().mean(1)
        return ErrorAmounts(amount, self.unit)


def check_regression(channels: Any, loss: Any, range: Any, vector: Any) -> None:
    """Refuse options that mean nothing.

    Raises:
        ValueError: one does.
    """
    if not isinstance(channels, int) or isinstance(channels, bool) or channels < 1:
        raise ValueError(f"`channels` should be a whole number of 1 or more, not {channels}")
    if loss not in get_args(RegressionLoss):
        raise ValueError(f"`loss` should be {', '.join(get_args(RegressionLoss))}, not {loss}")
    ends = [*range] if isinstance(range, Sequence) and not isinstance(range, str) else []
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end) for end in ends)
    if range is not None and not (len(ends) == 2 and numbers and ends[0] < ends[1]):
        raise ValueError(f"`range` should be a smallest and a larger number, as [0, 1], not {range}")
    if vector is not None and vector not in get_args(Vector):
        raise ValueError(f"`vector` should be {', '.join(get_args(Vector))}, not {vector}")
    if vector is not None and channels < 2:
        raise ValueError(f"`vector` needs `channels` of 2 or more (x and y), not {channels}")


def wheel(x: Float[Tensor, "b h w"], y: Float[Tensor, "b h w"]) -> Float[Tensor, "b 3 h w"]:
    """The direction of vectors as hue, red to the right; white where short, full color at the longest of all."""
    length = torch.sqrt(x * x + y * y)
    strength = (length / length.max().clamp(min=1e-12))[:, None]
    turn = (torch.atan2(-y, x) / (2 * math.pi))[:, None] + x.new_tensor([0.0, 2 / 3, 1 / 3]).view(3, 1, 1)
    hue = ((turn % 1 * 6 - 3).abs() - 1).clamp(0, 1)
    return 1 - strength * (1 - hue)
