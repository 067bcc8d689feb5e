"""Raw predictions at another size, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

#: how many numbers a strip may hold
NUMBERS = 2**23


def resized(x: Float[Tensor, "1 c h w"], size: tuple[int, int]) -> Float[Tensor, "1 c h2 w2"]:
    """Bilinear resizing that keeps the picture's frame in place and averages when it shrinks."""
    if tuple(x.shape[-2:]) == size:
        return x
    if size[1] == 1 < size[0]:  # torch 2.15 repeats the first row in a result of width 1; of height 1 it is right
        return resized(x.mT, (size[1], size[0])).mT
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)


def strips(x: Float[Tensor, "1 c h w"], size: tuple[int, int]) -> Iterator[tuple[int, Float[Tensor, "1 c rows w2"]]]:
    """`resized` in strips of whole rows, from top to bottom, each with the row where it begins.

    Where strips end changes no value.
    """
    height, width = size
    x = resized(x, (min(height, x.shape[-2]), min(width, x.shape[-1])))
    old = x.shape[-2]
    # the place of each new row among the old ones, both at their centers
    place = ((torch.arange(height, dtype=torch.float64, device=x.device) + 0.5) * (old / height) - 0.5).clamp(
        0, old - 1
    )
    above = place.floor().long()
    below, share = (above + 1).clamp(max=old - 1), (place - above).to(x.dtype)[:, None]
    step = max(1, NUMBERS // (x.shape[1] * width))
    for top in range(0, height, step):
        rows = slice(top, top + step)
        strip = x[:, :, rows] if old == height else torch.lerp(x[:, :, above[rows]], x[:, :, below[rows]], share[rows])
        yield top, resized(strip, (strip.shape[-2], width))
