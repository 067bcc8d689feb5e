"""Surface normals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.structures import TargetSpec, masked_mean
from mtpsl.tasks.base import Task, paint_invalid
from mtpsl.tasks.drawing import ColorDisk, ErrorAmounts, disk

if TYPE_CHECKING:
    import torchmetrics  # takes two seconds, which what only reads data need not spend

NormalsLoss = Literal["cosine", "l1"]
YAxis = Literal["up", "down"]


class Normals(Task):
    """Unit vectors in the camera's frame, x to the right: angular errors in degrees.

    Args:
        name: the task's name.
        y_axis: where the second component points, `up` or `down`: how vectors follow an image that is turned.
        loss: `cosine`, one minus the cosine of the angle between prediction and label (NYU-v2), or `l1`, the absolute
            difference of the unit vectors, averaged over their three components (PASCAL).
    """

    resampling = "bilinear"
    score_types = {
        "mean_err": ("deg", False),
        "median_err": ("deg", False),
        "within_11.25": ("%", True),
        "within_22.5": ("%", True),
        "within_30": ("%", True),
    }
    primary = "mean_err"

    def __init__(self, name: str = "normals", *, loss: NormalsLoss = "cosine", y_axis: YAxis = "up") -> None:
        super().__init__(name)
        if y_axis not in get_args(YAxis):
            raise ValueError(f"{name}: y_axis should be up or down, not {y_axis!r}")
        self.y_axis: YAxis = y_axis
        if loss not in get_args(NormalsLoss):
            raise ValueError(f"{name}: loss should be cosine or l1, not {loss!r}")
        self.loss_kind: NormalsLoss = loss
        self.out_channels = self.encoding_channels = 3
        self.target_spec = TargetSpec(3, torch.float32)

    def options(self) -> dict[str, Any]:
        """The loss and the y axis."""
        return {"loss": self.loss_kind, "y_axis": self.y_axis}

    def loss(
        self, prediction: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, " b"]:
        """One minus cosine, or the mean absolute difference of a component."""
        target = target.masked_fill(~valid[:, None], 0.0)  # zero times a hidden NaN would be a NaN gradient
        unit = self.decode(prediction)
        if self.loss_kind == "l1":
            return masked_mean((unit - target).abs().mean(1), valid)
        return masked_mean(1 - (unit * target).sum(1), valid)

    def decode(self, prediction: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Vectors of length 1."""
        return unit_vectors(prediction)

    def soft(self, prediction: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Vectors of length 1."""
        return self.decode(prediction)

    def encode_prediction(self, prediction: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Unit vectors brought from -1..1 to 0..1."""
        return (self.decode(prediction) + 1) / 2

    def encode_target(self, target: Float[Tensor, "b 3 h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b 3 h w"]:
        """As for a prediction; a missing vector is the zero vector, so it becomes 0.5 (the published preprocessing)."""
        return (target.masked_fill(~valid[:, None], 0.0) + 1) / 2

    def mirror(self, target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Left becomes right: negate x."""
        return torch.cat((-target[:, :1], target[:, 1:]), 1)

    def rotate(self, target: Float[Tensor, "b 3 h w"], angle: Float[Tensor, " b"]) -> Float[Tensor, "b 3 h w"]:
        """Turn x and y, which lie in the image's plane."""
        angle = angle if self.y_axis == "up" else -angle
        cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
        x, y, z = target.unbind(1)
        return torch.stack((cos * x - sin * y, sin * x + cos * y, z), 1)

    def resampled(self, target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Bring interpolated vectors back to length 1."""
        return unit_vectors(target)

    def resize(self, prediction: Float[Tensor, "b 3 h w"], size: tuple[int, int]) -> Float[Tensor, "b 3 h2 w2"]:
        """Unit vectors are interpolated."""
        return super().resize(self.decode(prediction.float()), size)

    def metric(self) -> torchmetrics.Metric:
        """Angular errors over all valid pixels of the set."""
        from mtpsl.tasks.metrics.normals import NormalsMetric

        return NormalsMetric()

    def colorize(
        self, values: Float[Tensor, "b 3 h w"], valid: Bool[Tensor, "b h w"] | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """(n + 1) / 2 as RGB."""
        return paint_invalid(((values + 1) / 2).clamp(0, 1), valid)

    def legend(self, values: Float[Tensor, "b 3 h w"], valid: Bool[Tensor, "b h w"]) -> ColorDisk:
        """A ball seen from the camera: the color of every direction that a surface can face."""
        x, y, inside = disk()
        up = y if self.y_axis == "up" else -y
        ball = torch.stack([x, up, (1 - x**2 - y**2).clamp(min=0).sqrt()])[None]
        around = ("up", "right", "down", "left")
        return ColorDisk(self.colorize(ball)[0], inside, around, "where a surface faces (middle: the camera)")

    def error_map(
        self, prediction: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"], valid: Bool[Tensor, "b h w"]
    ) -> ErrorAmounts:
        """The angle between prediction and label, in degrees."""
        cosine = (unit_vectors(prediction.double()) * unit_vectors(target.double())).sum(1)
        return ErrorAmounts(torch.rad2deg(cosine.clamp(-1, 1).acos()).float(), "deg", 40.0)


def unit_vectors(x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Vectors divided by their length; zero vectors stay zero.

    The same as `torch.nn.functional.normalize(x, dim=1)`, whose norm over a short strided axis took 30 times as long
    on the CPU (torch 2.15).
    """
    return x / x.square().sum(1, keepdim=True).clamp(min=1e-24).sqrt()
