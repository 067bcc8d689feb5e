"""An entry of dataset.yaml with the reasons for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mtpsl.data.formats.stored import Stored


@dataclass(frozen=True)
class Line:
    """A key with its value as YAML, and what to know about it."""

    key: str
    value: str
    comment: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.value}" + (f"  # {self.comment}" if self.comment else "")


@dataclass
class Entry:
    """What is guessed of a task: its lines, and from what, on one line."""

    seen: str
    lines: list[Line] = field(default_factory=list)

    def add(self, key: str, value: object, comment: str = "") -> None:
        """One more line."""
        self.lines.append(Line(key, str(value), comment))


@dataclass(frozen=True)
class Labels:
    """The label files of a task that were read, of all that there are.

    Args:
        task: the task.
        folder: where they lie, for messages.
        paths: the files that were read.
        read: what they store, in this order.
        total: how many there are.
    """

    task: str
    folder: str
    paths: list[Path]
    read: list[Stored]
    total: int

    @property
    def amount(self) -> str:
        """How many were read."""
        every = len(self.read) == self.total
        return f"all {self.total} labels" if every else f"{len(self.read)} of {self.total} labels"

    def numbers(self) -> list[np.ndarray]:
        """What the files store, of gray ones in RGB one channel."""
        return [_gray(stored.numbers) for stored in self.read]


def ranges(numbers: list[int]) -> str:
    """Whole numbers in words.

    >>> ranges([0, 1, 2, 3, 7, 255])
    '0 to 3, 7, 255'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    texts = [f"{run[0]} to {run[-1]}" if run[-1] - run[0] > 1 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(texts[:12]) + (", ..." if len(texts) > 12 else "")


def _gray(x: np.ndarray) -> np.ndarray:
    if x.ndim == 3 and x.shape[2] == 3 and x.dtype.kind != "f":
        same = (x[..., 0] == x[..., 1]).all() and (x[..., 0] == x[..., 2]).all()
        return x[..., 0] if same else x
    return x[..., 0] if x.ndim == 3 and x.shape[2] == 1 else x
