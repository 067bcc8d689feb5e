"""Colors of classes that people can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from mtpsl.tasks.color_difference import ciede2000, cielab

RGB = tuple[int, int, int]
FIRST: tuple[RGB, ...] = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (227, 119, 194),
    (23, 190, 207),
)
"""Seven of the ten colors that Tableau and matplotlib draw with, all far from each other."""
RESERVED: tuple[RGB, ...] = ((0, 0, 0), (255, 255, 255), (190, 190, 190))
"""What pictures mean something else with: what is no number, lines and paper, hatched areas."""
CLEAR = 15.0
"""The CIEDE2000 that any two of up to 40 generated colors differ by at least."""


def palette(num_classes: int, given: Sequence[Sequence[int] | None] | None = None) -> Float[Tensor, "n 3"]:
    """A color for every class, as shares of red, green and blue, each looking as different from the others as can be.

    A few pleasant colors come first. Every later one is, of a lattice of colors, that farthest from all before it: the
    greedy method of C. A. Glasbey et al., "Colour displays for categorical images", Color Research and Application
    2007, here with CIEDE2000 as the distance. None is near black, white or light gray.

    Args:
        num_classes: how many classes there are.
        given: colors from 0 to 255 that classes have already, None for one without: they stay, and the others keep
            away from them.

    >>> (palette(3, [None, [10, 20, 30], None]) * 255).round().int().tolist()
    [[31, 119, 180], [10, 20, 30], [255, 127, 14]]
    """
    fixed: list[RGB | None] = [None if c is None else (int(c[0]), int(c[1]), int(c[2])) for c in given or ()]
    fixed += [None] * (num_classes - len(fixed))
    kept = tuple(color for color in fixed if color is not None)
    with torch.device("cpu"):  # also where a caller makes tensors elsewhere, or without values
        made = iter(generated(num_classes - len(kept), kept))
    return torch.tensor([color or next(made) for color in fixed], dtype=torch.float32) / 255


@cache
def generated(count: int, kept: tuple[RGB, ...]) -> tuple[RGB, ...]:
    """So many colors that look different from those `kept` and from each other."""
    levels = torch.arange(0, 256, 15)
    lattice = torch.cartesian_prod(levels, levels, levels)
    space = cielab(lattice / 255)
    fit = (space[:, 0] > 25) & (space[:, 0] < 93)  # darker and lighter ones are hard to name
    lattice, space = lattice[fit], space[fit]
    pleasant = [color for color in FIRST if not kept or float(difference([color], kept).min()) >= CLEAR]
    nearest = ciede2000(space, in_cielab([*RESERVED, *kept])).amin(1)
    colors: list[RGB] = []
    while len(colors) < count:
        red, green, blue = lattice[int(nearest.argmax())].tolist()
        colors.append(pleasant[len(colors)] if len(colors) < len(pleasant) else (red, green, blue))
        nearest = torch.minimum(nearest, ciede2000(space, in_cielab(colors[-1:]))[:, 0])
    return tuple(colors)


def difference(first: Sequence[RGB], second: Sequence[RGB]) -> Float[Tensor, "n m"]:
    """CIEDE2000 between colors from 0 to 255."""
    return ciede2000(in_cielab(first), in_cielab(second))


def in_cielab(colors: Sequence[RGB]) -> Float[Tensor, "n 3"]:
    """Colors from 0 to 255 in CIELAB."""
    return cielab(torch.tensor(colors) / 255)
