"""What stored numbers stand for: a class, something unlabelled, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from mtpsl.phrases import counted as number_of

UNLABELLED, UNKNOWN = -1, -2


class Meanings:
    """Looks up the class of each number: `UNLABELLED` for a number to ignore, `UNKNOWN` for one without a meaning.

    Where 1 means nothing and 255 does, the white of one bit per pixel is 255, as a picture viewer shows it.

    Args:
        classes: the class of each stored number.
        ignore: stored numbers that mean "unlabelled"; they come before `classes`.

    >>> meanings = Meanings({0: 0, 255: 1}, ignore=[7])
    >>> meanings(np.array([0, 255, 7, 3])).tolist(), meanings(np.array([True, False])).tolist()
    ([0, 1, -1, -2], [1, 0])
    """

    def __init__(self, classes: Mapping[int, int], ignore: Iterable[int]) -> None:
        table = {**classes, **dict.fromkeys(ignore, UNLABELLED)}
        self.numbers = np.array(sorted(table), np.int64)
        self.classes = np.array([table[number] for number in sorted(table)], np.int64)
        self.white = 255 if 1 not in table and 255 in table else 1

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """The class of each number (bool or integers)."""
        if numbers.dtype == np.bool_:
            return self._look_up(np.array([0, self.white]))[numbers.astype(np.uint8)]
        if numbers.dtype in (np.uint8, np.uint16):
            return self._look_up(np.arange(np.iinfo(numbers.dtype).max + 1))[numbers]
        return self._look_up(numbers)

    def _look_up(self, numbers: np.ndarray) -> np.ndarray:
        places = np.searchsorted(self.numbers, numbers).clip(max=len(self.numbers) - 1)
        return np.where(self.numbers[places] == numbers, self.classes[places], UNKNOWN)


def counted(values: np.ndarray, show: Callable[[Any], str] = str, limit: int = 5) -> str:
    """The different values with the number of pixels that hold each, the most frequent ones first.

    >>> counted(np.array([7, 9, 9]))
    '9 at 2 pixels, 7 at 1 pixel'
    >>> counted(np.arange(8), limit=2)
    '0 at 1 pixel, 1 at 1 pixel and 6 others at 6 pixels'
    """
    different, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    text = ", ".join(f"{show(different[place])} at {number_of(int(counts[place]), 'pixel')}" for place in order[:limit])
    rest = order[limit:]
    return text + (f" and {len(rest)} others at {counts[rest].sum()} pixels" if len(rest) else "")


def color_codes(colors: np.ndarray) -> Int[np.ndarray, ...]:
    """One number per color (..., 3).

    >>> color_codes(np.array([[1, 2, 3]])).tolist() == [(1 * 2**16 + 2) * 2**16 + 3]
    True
    """
    red, green, blue = np.moveaxis(colors.astype(np.int64), -1, 0)
    return (red * 2**16 + green) * 2**16 + blue


def show_color(code: int | np.integer) -> str:
    """A color code as it is written in dataset.yaml.

    >>> show_color(color_codes(np.array([[1, 2, 3]]))[0])
    '[1, 2, 3]'
    """
    return str([int(code) >> 32, (int(code) >> 16) % 2**16, int(code) % 2**16])
