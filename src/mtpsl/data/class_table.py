"""Segmentation whose stored numbers are not the classes themselves: a table says which class each one is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from mtpsl.data.formats import SegmentationFormat
from mtpsl.data.label_format import Given, is_integer
from mtpsl.data.meanings import counted


@dataclass(frozen=True)
class ClassTableFormat(SegmentationFormat):
    """A number per pixel that stands for a class; a number that is in neither `table` nor `ignore` is refused.

    Args:
        classes: names of the classes, or their number.
        ignore: stored numbers that mean "unlabelled".
        colors: an RGB triple from 0 to 255 per class.
        table: the class of each stored number; several numbers may be one class.

    >>> from pathlib import Path
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
        if both := sorted({*table} & {*self._ignored[0]}):
            raise ValueError(f"{both[0]} should be in `table` or in `ignore`, not in both")
        if self.values is not None:
            raise ValueError("`table` says the stored numbers already: leave out `values`")

    @cached_property
    def _numbers(self) -> Mapping[int, int]:
        """The class of each stored number."""
        return self.table

    def _unknown(self, numbers: np.ndarray, unknown: np.ndarray) -> str:
        known = f"known numbers go from {min(self.table)} to {max(self.table)}"
        return f"{counted(unknown)} stands for no class: {known}: correct or replace the file"
