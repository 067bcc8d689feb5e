"""The photo of a sheet: as it is, gray below errors, and below a prediction."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from mtpsl.tasks import Task
from mtpsl.visualization.grid import Size, as_picture

DARKEST, LIGHTEST = 0.2, 0.75
"""Of the gray photo: no pixel is black, or as strong as what is drawn over it."""


def draw_photo(image: Float[Tensor, "3 h w"], size: Size) -> Image.Image:
    """An image at (height, width)."""
    return as_picture(smooth(image, size))


def smooth(image: Float[Tensor, "c h w"], size: Size) -> Float[Tensor, "c h2 w2"]:
    """An image at (height, width), interpolated, of what is no number black."""
    known = torch.nan_to_num(image.detach().float().cpu(), nan=0.0)[None]
    return F.interpolate(known, size, mode="bilinear", align_corners=False, antialias=True)[0].clamp(0, 1)


def gray_photo(image: Float[Tensor, "3 h w"], size: Size) -> Float[Tensor, "1 h2 w2"]:
    """The photo without colors and with less contrast."""
    return DARKEST + (LIGHTEST - DARKEST) * smooth(image, size).mean(0, keepdim=True)


def draw_overlay(
    task: Task, image: Float[Tensor, "3 h w"], decoded: Tensor, finite: Bool[Tensor, "1 h w"], size: Size
) -> Image.Image | None:
    """A decoded prediction over the photo, or None for a task that would hide it."""
    over = task.on_photo(fitted(decoded, size))
    if over is None:
        return None
    colors, opacity = over
    opacity = (opacity * nearest(finite, size))[0]
    return as_picture(smooth(image, size) * (1 - opacity) + colors[0] * opacity)


def fitted(values: Tensor, size: Size) -> Tensor:
    """A map at (height, width): numbers are averaged where it shrinks, so that no line is lost; classes cannot be."""
    smaller = any(new < old for new, old in zip(size, values.shape[-2:], strict=True))
    return F.interpolate(values, size, mode="area") if smaller and values.is_floating_point() else nearest(values, size)


def nearest(values: Tensor, size: Size) -> Tensor:
    """A map (b, ..., h, w) at (height, width), each pixel as the nearest one."""
    rows, columns = (
        ((torch.arange(new) + 0.5) * old / new).long().clamp(max=old - 1)
        for new, old in zip(size, values.shape[-2:], strict=True)
    )
    return values[..., rows[:, None], columns]
