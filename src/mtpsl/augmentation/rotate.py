"""Rotations and zooms of whole batches about the image's center."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mtpsl.augmentation.zoom_crop import SHORTEST, gather_pixels
from mtpsl.structures import Batch
from mtpsl.tasks import Task

Draw = Literal["log", "uniform"]
Border = Literal["unlabelled", "zero"]


class Rotation:
    """Turns and magnifies every image about its center, each by its own angle and factor.

    What comes from outside of the image is black and has no label, or with `border` "zero" the label 0 of tasks that
    have a `background` where the image has a label of theirs. Images and labels of tasks with
    `resampling = "bilinear"` are interpolated (labels from valid pixels only), other labels take the nearest pixel.
    Values follow by `Task.zoom` and `Task.rotate`: a surface normal turns with the image.

    The augmentation of earlier multi-task codes on PASCAL-Context: 20 degrees, 0.75 to 1.25 (S. Vandenhende et al.,
    "Multi-Task Learning for Dense Prediction Tasks: A Survey", PAMI 2021).

    Args:
        tasks: the tasks that batches may hold.
        degrees: the largest angle, to either side.
        scales: the smallest and the largest magnification.
        draw: draw magnifications evenly between the two (`uniform`, as those codes do), or evenly on a logarithmic
            scale (`log`), on which halving is as likely as doubling.
        border: what comes from outside is `unlabelled`, or `zero` (those codes: background, no edge, not salient).

    Raises:
        ValueError: an angle, magnification or choice that cannot be; when called, a batch with a task that is not in
            `tasks`.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        degrees: float = 20.0,
        scales: Sequence[float] = (0.75, 1.25),
        draw: Draw = "log",
        border: Border = "unlabelled",
    ) -> None:
        if not 0 <= degrees <= 180:
            raise ValueError(f"degrees should lie between 0 and 180, not {degrees}")
        if len(scales) != 2 or not 0 < scales[0] <= scales[1] < math.inf:
            raise ValueError(f"scales should be a smallest and a largest positive number, not {tuple(scales)}")
        if draw not in get_args(Draw) or border not in get_args(Border):
            raise ValueError(f"draw should be log or uniform, border unlabelled or zero, not {draw!r} and {border!r}")
        self.draw, self.border = draw, border
        self.tasks = {task.name: task for task in tasks}
        self.degrees, self.scales = float(degrees), (float(scales[0]), float(scales[1]))

    def __call__(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """A randomly turned and magnified view of every image; two random numbers are drawn for each."""
        source = generator.device if generator is not None else torch.device("cpu")
        random = torch.rand(2, len(batch), generator=generator, device=source)
        random = random.to(batch.images.device, non_blocking=True)
        low, high = self.scales
        scale = low + (high - low) * random[1] if self.draw == "uniform" else low * (high / low) ** random[1]
        return self.turned(batch, torch.deg2rad((2 * random[0] - 1) * self.degrees), scale)

    def turned(self, batch: Batch, angle: Float[Tensor, " b"], scale: Float[Tensor, " b"]) -> Batch:
        """Every image turned counterclockwise by its angle (radians) and magnified."""
        for name in batch.targets:
            if name not in self.tasks:
                raise ValueError(
                    f"the batch holds {name!r}, which is none of the tasks {[*self.tasks]}: add it to them"
                )
        height, width = batch.images.shape[-2:]
        x, y = origin(height, width, angle, scale)
        grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), -1)
        column, row = x.round().long(), y.round().long()
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixels = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).flatten(1)

        targets, valid = {}, {}
        for name, target in batch.targets.items():
            task = self.tasks[name]
            valid[name] = gather_pixels(batch.valid[name], pixels) & inside
            if task.resampling == "bilinear":
                seen = bilinear(target.masked_fill(~batch.valid[name][:, None], 0), grid)
                valid[name] &= seen.square().sum(1) > SHORTEST**2
                moved = task.resampled(seen)
            else:
                moved = gather_pixels(target, pixels)
            if self.border == "zero" and task.background:
                outside = ~inside & batch.labelled(name)[:, None, None]
                moved = moved.masked_fill(outside if moved.ndim == 3 else outside[:, None], 0)
                valid[name] |= outside
            targets[name] = task.rotate(task.zoom(moved, scale), angle)
        cameras = batch.cameras
        if cameras is not None:
            cameras = turned_cameras(cameras, (height, width), angle, scale)
        images = bilinear(batch.images, grid)
        return Batch(batch.keys, images, targets, valid, batch.labels(), cameras, batch.predicted)


def origin(
    height: int, width: int, angle: Float[Tensor, " b"], scale: Float[Tensor, " b"]
) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """Column and row from which each pixel comes, in pixels, 0 at the center of the first."""
    middle = (height - 1) / 2, (width - 1) / 2
    down = torch.arange(height, device=angle.device)[:, None] - middle[0]
    right = torch.arange(width, device=angle.device)[None, :] - middle[1]
    cos, sin = ((f(angle) / scale)[:, None, None] for f in (torch.cos, torch.sin))
    return cos * right - sin * down + middle[1], sin * right + cos * down + middle[0]


def turned_cameras(
    cameras: Float[Tensor, "b 3 3"], size: tuple[int, int], angle: Float[Tensor, " b"], scale: Float[Tensor, " b"]
) -> Float[Tensor, "b 3 3"]:
    """The cameras of images that are turned counterclockwise and magnified about their center, world and all."""
    cos, sin, zero, one = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle), torch.ones_like(angle)
    turn = torch.stack((cos, sin, zero, -sin, cos, zero, zero, zero, one), 1).view(-1, 3, 3)  # y points down
    magnify = torch.diag_embed(torch.stack((scale, scale, one), 1))
    middle = torch.eye(3, device=cameras.device).repeat(2, 1, 1)
    middle[0, :2, 2] = torch.tensor([(size[1] - 1) / 2, (size[0] - 1) / 2], device=cameras.device)
    middle[1, :2, 2] = -middle[0, :2, 2]
    return middle[0] @ magnify @ turn @ middle[1] @ cameras @ turn.mT


def bilinear(x: Float[Tensor, "b c h w"], grid: Float[Tensor, "b h w 2"]) -> Float[Tensor, "b c h w"]:
    """Interpolate; outside is zero."""
    return F.grid_sample(x, grid.to(x.dtype), mode="bilinear", padding_mode="zeros", align_corners=False)
