"""Labels that tell one kind of pixel from all others: edges and saliency."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.formats.base import (
    Given,
    Label,
    LabelFormat,
    Resized,
    integers,
    plane,
    positive,
    whole_numbers,
    whole_plane,
)
from mtpsl.data.formats.class_names import stored_numbers
from mtpsl.data.formats.files import any_covered
from mtpsl.data.formats.meanings import UNKNOWN, Meanings, counted
from mtpsl.data.formats.palettes import table_numbers
from mtpsl.data.formats.stored import Stored
from mtpsl.errors import UserError
from mtpsl.tasks import Edges, Saliency, Task
from mtpsl.tasks.boundary_counts import check_tolerance


@dataclass(frozen=True)
class EdgesFormat(LabelFormat):
    """1 on a boundary, 0 elsewhere.

    Args:
        ignore: stored numbers that mean "unknown".
        positive_weight: weight of boundary pixels in the loss; the others weigh one minus it.
        tolerance: matching distance of odsF as a share of the image's diagonal. The published 0.0075 is less than a
            pixel where the diagonal is less than 134 pixels.
        nms: thin predictions by non-maximum suppression before they are scored.
        values: the stored numbers of other pixels and of boundaries, or several in a list; by default 0 and 1.
    """

    ignore: Given = ()
    positive_weight: Given = 0.95
    tolerance: Given = 0.0075
    nms: Given = False
    values: Given = field(default=None, kw_only=True)
    kind: ClassVar[str] = "edges"

    def __post_init__(self) -> None:
        numbers = stored_numbers(self.values, 2)
        if {*numbers} & {*integers("ignore", self.ignore)}:
            raise ValueError(f"`ignore` should not contain {' or '.join(map(str, numbers))}, not {self.ignore}")
        positive("positive_weight", self.positive_weight)
        positive("tolerance", self.tolerance)
        if not isinstance(self.nms, bool):
            raise ValueError(f"`nms` should be true or false, not {self.nms}")
        check_tolerance(self.tolerance)
        self.task("edges")  # which checks the rest

    def task(self, name: str) -> Task:
        """Boundaries."""
        return Edges(name, positive_weight=self.positive_weight, tolerance=self.tolerance, nms=self.nms)

    @cached_property
    def meanings(self) -> Meanings:
        """0 or 1 for each stored number."""
        return Meanings(stored_numbers(self.values, 2), integers("ignore", self.ignore))

    def numbers(self, stored: Stored, path: Path) -> np.ndarray:
        """The places in a color table are numbers, too."""
        return table_numbers(stored, self.meanings, None, path)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """0 or 1 (1, h, w); 0 where ignored."""
        numbers = whole_numbers(stored, path)
        kind = self.meanings(numbers)
        if (kind == UNKNOWN).any():
            raise UserError(f"{path}: {self._unknown(numbers, numbers[kind == UNKNOWN])}")
        return torch.from_numpy(kind.clip(0)).float()[None], torch.from_numpy(kind >= 0)

    def encode(self, target: Tensor, valid: Bool[Tensor, "h w"]) -> np.ndarray:
        """0 or 1; the number to ignore where unknown."""
        return whole_plane(target, valid, integers("ignore", self.ignore)[0])

    def _unknown(self, numbers: np.ndarray, unknown: np.ndarray) -> str:
        """What is wrong with numbers that have no meaning, and how to mend it."""
        present = np.unique(numbers).tolist()
        known = "0, 1 (a boundary)" if self.values is None else f"`values` {self.values}"
        text = f"value {counted(unknown)}, but edges should be {known} or one of `ignore` "
        text += f"{integers('ignore', self.ignore)}: "
        if len(present) > 3:
            return f"{text}decide above which value a pixel is a boundary, and store 0 and 1"
        if self.values is None and len(present) == 2 and present[0] == 0:
            return f"{text}{present[1]} looks like a boundary: write `values: {present}` in a dataset.yaml"
        return (
            f"{text}say in a dataset.yaml which number is no boundary and which is one (`values: [0, 255]`), and which "
            "means unknown (`ignore`)"
        )

    def resize(self, target: Tensor, valid: Bool[Tensor, "h w"], size: tuple[int, int]) -> Resized:
        """Keep thin lines: a pixel is a boundary if it covers one, else unknown if it covers an unknown one."""
        edge = any_covered(target > 0, size)
        unknown = any_covered(~valid[None], size)
        return edge.float(), (edge | ~unknown)[0]


@dataclass(frozen=True)
class SaliencyFormat(LabelFormat):
    """How salient each pixel is: above `threshold` it counts as salient; of one bit per pixel, 1 does.

    Args:
        threshold: by default 0.5 in a file without numbers above 1, and 127.5 in one of gray values from 0 to 255.
        ignore: stored numbers that mean "unknown".
    """

    threshold: Given = None
    ignore: Given = ()
    kind: ClassVar[str] = "saliency"

    def __post_init__(self) -> None:
        number = isinstance(self.threshold, int | float) and not isinstance(self.threshold, bool)
        if self.threshold is not None and not (number and math.isfinite(self.threshold)):
            raise ValueError(f"`threshold` should be a number, not {self.threshold}")
        integers("ignore", self.ignore)

    def task(self, name: str) -> Task:
        """Saliency."""
        return Saliency(name)

    def numbers(self, stored: Stored, path: Path) -> np.ndarray:
        """Gray levels of a color table are read; few bits are stretched to the range of 8, unless they are 0 and 1."""
        if stored.table is not None:
            used = stored.table[np.unique(stored.numbers).clip(max=len(stored.table) - 1)]
            if (used != used[:, :1]).any() and stored.numbers.max() > 1:
                return super().numbers(stored, path)
            return stored.numbers if (used != used[:, :1]).any() else stored.table[:, 0][stored.numbers]
        if stored.bits in (2, 4) and stored.numbers.max() > 1:
            return stored.numbers * np.uint8(255 // (2**stored.bits - 1))
        return stored.numbers

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """0 or 1 (1, h, w); 0 where ignored."""
        numbers = plane(stored, path)
        valid = ~np.isin(numbers, integers("ignore", self.ignore))
        wrong = numbers[valid & ~np.isfinite(numbers)]
        if wrong.size:
            raise UserError(f"{path}: saliency {counted(wrong)} should be finite: correct the file")
        salient = numbers if numbers.dtype == np.bool_ else numbers > self._threshold(numbers[valid], path)
        return torch.from_numpy((valid & salient).astype(np.float32))[None], torch.from_numpy(valid)

    def encode(self, target: Tensor, valid: Bool[Tensor, "h w"]) -> np.ndarray:
        """0 or 1; the number to ignore where unknown."""
        return whole_plane(target, valid, integers("ignore", self.ignore)[0])

    def _threshold(self, numbers: np.ndarray, path: Path) -> float:
        if self.threshold is not None:
            return float(self.threshold)
        low, high = numbers.min(initial=0), numbers.max(initial=0)
        if low < 0 or high > 255:
            raise UserError(
                f"{path}: saliency goes from {low:g} to {high:g}: say in a dataset.yaml above which number a pixel is "
                "salient, as `threshold: 0.5`"
            )
        return 0.5 if high <= 1 else 127.5
