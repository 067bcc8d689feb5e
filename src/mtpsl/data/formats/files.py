"""Resize arrays of labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ARRAY_SUFFIXES = (".png", ".npy")


def nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Pick the nearest pixel for each pixel of the new size (..., h, w).

    >>> nearest(torch.arange(6).view(1, 6), (1, 3))
    tensor([[1, 3, 5]])
    """
    rows, columns = (
        (2 * torch.arange(new) + 1) * old // (2 * new) for new, old in zip(size, x.shape[-2:], strict=True)
    )
    return x[..., rows[:, None], columns]


def any_covered(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Mark a pixel of the new size if any pixel that it covers is marked; along an enlarged axis pick the nearest.

    >>> any_covered(torch.tensor([[False, True, False, False, False, False]]), (1, 3))
    tensor([[ True, False, False]])
    """
    height, width = x.shape[-2:]
    shrunk = (min(size[0], height), min(size[1], width))
    pooled = F.adaptive_max_pool2d(x.float()[None], shrunk)[0] > 0
    return nearest(pooled, size)
