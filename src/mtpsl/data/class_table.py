"""Segmentation whose stored numbers are not the classes themselves: a table says which class each one is."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int

from mtpsl.data.formats import SegmentationFormat
from mtpsl.data.label_format import Given, Label, integers, is_integer, whole_numbers
from mtpsl.errors import UserError

UNLABELLED, UNKNOWN = -1, -2


@dataclass(frozen=True)
class ClassTableFormat(SegmentationFormat):
    """A number per pixel that stands for a class; a number that is in neither `table` nor `ignore` is refused.

    Args:
        classes: names of the classes, or their number.
        ignore: stored numbers that mean "unlabelled".
        colors: an RGB triple from 0 to 255 per class.
        table: the class of each stored number; several numbers may be one class.

    >>> table = ClassTableFormat(["road", "car"], ignore=0, table={7: 0, 26: 1, 27: 1})
    >>> target, valid = table.decode(np.array([[7, 26, 27, 0]]), Path("frame.png"))
    >>> target.tolist(), valid.tolist()
    ([[0, 1, 1, 0]], [[True, True, True, False]])
    """

    table: Given = field(default_factory=dict)
    kind: ClassVar[str] = "segmentation"

    def __post_init__(self) -> None:
        super().__post_init__()
        table = self.table
        if not isinstance(table, dict) or not table or not all(map(is_integer, [*table, *table.values()])):
            raise ValueError(f"`table` should give a class to each stored number, as {{7: 0, 8: 1}}, not {table}")
        wrong = [stored for stored, index in table.items() if not 0 <= index < self.num_classes]
        if wrong:
            raise ValueError(
                f"`table` gives {wrong[0]} class {table[wrong[0]]}, but classes go from 0 to {self.num_classes - 1}"
            )
        if both := sorted({*table} & {*integers("ignore", self.ignore)}):
            raise ValueError(f"{both[0]} should be in `table` or in `ignore`, not in both")

    @cached_property
    def _lookup(self) -> tuple[int, Int[np.ndarray, " n"]]:
        """The smallest number that has a meaning, and what it and those after it mean; the last entry is unknown."""
        meanings = {**dict.fromkeys(integers("ignore", self.ignore), UNLABELLED), **self.table}
        lowest, highest = min(meanings) - 1, max(meanings) + 1
        return lowest, np.array([meanings.get(number, UNKNOWN) for number in range(lowest, highest + 1)])

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Class indices (h, w); 0 where ignored."""
        numbers = whole_numbers(stored, path)
        lowest, meanings = self._lookup
        index = meanings[np.clip(numbers - lowest, 0, len(meanings) - 1)]
        unknown = numbers[index == UNKNOWN]
        if unknown.size:
            raise UserError(
                f"{path}: {unknown[0]} at {unknown.size} pixels stands for no class: "
                f"known numbers go from {min(self.table)} to {max(self.table)}: correct or replace the file"
            )
        valid = index != UNLABELLED
        return torch.from_numpy(np.where(valid, index, 0)), torch.from_numpy(valid)
