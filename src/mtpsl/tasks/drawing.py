"""What tasks say about their pictures; `mtpsl.visualization` draws it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Color = tuple[float, float, float]
WRONG: Color = (0.9, 0.1, 0.12)
HIT: Color = (0.2, 0.85, 0.4)
MISSED: Color = (0.2, 0.6, 1.0)
FALSE: Color = (1.0, 0.35, 0.15)
BOTH: Color = (0.75, 0.3, 0.85)
FOUND: Color = (1.0, 0.1, 0.65)
"""What is looked for, on a photo; few photos show this color."""


@dataclass(frozen=True)
class ColorNames:
    """A legend of names.

    Args:
        entries: each name with its color, as shares of red, green and blue.
    """

    entries: tuple[tuple[str, Color], ...]


@dataclass(frozen=True)
class ColorScale:
    """A legend of numbers.

    Args:
        colors: from the lowest to the highest number, at even distances.
        low: the number of the first color.
        high: the number of the last color.
        unit: of both.
        beyond: whether larger numbers have the last color, too.
    """

    colors: Float[Tensor, "3 n"]
    low: float
    high: float
    unit: str = ""
    beyond: bool = False


@dataclass(frozen=True)
class ColorDisk:
    """A legend of directions.

    Args:
        colors: a square around a disk.
        inside: the disk.
        around: what lies at the top, to the right, at the bottom and to the left.
        note: what the middle and the rim are.
    """

    colors: Float[Tensor, "3 n n"]
    inside: Bool[Tensor, "n n"]
    around: tuple[str, str, str, str]
    note: str


Legend = ColorNames | ColorScale | ColorDisk


@dataclass(frozen=True)
class ErrorKinds:
    """Errors that are there or not.

    Args:
        kind: which entry each pixel is.
        entries: of each kind its name and its color; a kind without a color lets the gray photo be seen.
    """

    kind: Int[Tensor, "b h w"]
    entries: tuple[tuple[str, Color | None], ...]


@dataclass(frozen=True)
class ErrorAmounts:
    """Errors that are large or small.

    Args:
        amount: from 0.
        unit: of the amount.
        limit: the amount from which on all look alike; None for one that suits the picture.
    """

    amount: Float[Tensor, "b h w"]
    unit: str = ""
    limit: float | None = None


ErrorMap = ErrorKinds | ErrorAmounts


def binary_errors(found: Bool[Tensor, "b h w"], truth: Bool[Tensor, "b h w"]) -> ErrorKinds:
    """Which pixels of what is looked for were hit, missed or falsely found."""
    return ErrorKinds(
        found.long() * 2 + truth.long(), (("rightly empty", None), ("missed", MISSED), ("false", FALSE), ("hit", HIT))
    )


def borders(index: Int[Tensor, "b h w"]) -> Bool[Tensor, "b h w"]:
    """Where the pixel to the right or below is of another class, two pixels wide.

    >>> borders(torch.tensor([[[0, 0, 0, 1, 1]]])).int()
    tensor([[[0, 0, 1, 1, 0]]], dtype=torch.int32)
    """
    border = torch.zeros_like(index, dtype=torch.bool)
    across, down = index[:, :, 1:] != index[:, :, :-1], index[:, 1:] != index[:, :-1]
    border[:, :, 1:] |= across
    border[:, :, :-1] |= across
    border[:, 1:] |= down
    border[:, :-1] |= down
    return border


def disk(side: int = 60) -> tuple[Float[Tensor, "n n"], Float[Tensor, "n n"], Bool[Tensor, "n n"]]:
    """The x (to the right) and y (up) of a square from -1 to 1, and which places lie in the unit disk."""
    axis = torch.linspace(-1, 1, side)
    x, y = axis[None, :].expand(side, side), -axis[:, None].expand(side, side)
    return x, y, x**2 + y**2 <= 1
