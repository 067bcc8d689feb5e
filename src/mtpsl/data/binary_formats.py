"""Labels that tell one kind of pixel from all others: edges and saliency."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.arrays import any_covered
from mtpsl.data.label_format import Given, Label, LabelFormat, Resized, integers, plane, positive, whole_numbers
from mtpsl.errors import UserError
from mtpsl.tasks import Edges, Saliency, Task


@dataclass(frozen=True)
class EdgesFormat(LabelFormat):
    """1 on a boundary, 0 elsewhere.

    Args:
        ignore: stored numbers that mean "unknown".
        positive_weight: weight of boundary pixels in the loss; the others weigh one minus it.
        tolerance: matching distance of odsF as a share of the image's diagonal. The published 0.0075 is less than a
            pixel where the diagonal is less than 134 pixels.
        nms: thin predictions by non-maximum suppression before they are scored.
    """

    ignore: Given = ()
    positive_weight: Given = 0.95
    tolerance: Given = 0.0075
    nms: Given = False
    palette: ClassVar[bool] = True
    kind: ClassVar[str] = "edges"

    def __post_init__(self) -> None:
        if {0, 1} & {*integers("ignore", self.ignore)}:
            raise ValueError(f"`ignore` should not contain 0 or 1, not {self.ignore}")
        positive("positive_weight", self.positive_weight)
        positive("tolerance", self.tolerance)
        if not isinstance(self.nms, bool):
            raise ValueError(f"`nms` should be true or false, not {self.nms}")
        self.task("edges").metric()

    def task(self, name: str) -> Task:
        """Boundaries."""
        return Edges(name, positive_weight=self.positive_weight, tolerance=self.tolerance, nms=self.nms)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """0 or 1 (1, h, w); 0 where ignored."""
        value = whole_numbers(stored, path)
        ignore = integers("ignore", self.ignore)
        valid = (value == 0) | (value == 1)
        wrong = value[~valid & ~np.isin(value, ignore)]
        if wrong.size:
            raise UserError(
                f"{path}: value {wrong[0]} at {wrong.size} pixels, but edges should be 0, 1 (a boundary) or one of "
                f"`ignore` {ignore}: store boundaries as 1, or add the value to `ignore` in a dataset.yaml"
            )
        return torch.from_numpy(np.where(valid, value, 0)).float()[None], torch.from_numpy(valid)

    def resize(self, target: Tensor, valid: Bool[Tensor, "h w"], size: tuple[int, int]) -> Resized:
        """Keep thin lines: a pixel is a boundary if it covers one, else unknown if it covers an unknown one."""
        edge = any_covered(target > 0, size)
        unknown = any_covered(~valid[None], size)
        return edge.float(), (edge | ~unknown)[0]


@dataclass(frozen=True)
class SaliencyFormat(LabelFormat):
    """How salient each pixel is: above `threshold` it counts as salient.

    Args:
        threshold: the default fits grey values from 0 to 255; 0.5 fits files of zeros and ones.
        ignore: stored numbers that mean "unknown".
    """

    threshold: Given = 127.5
    ignore: Given = ()
    kind: ClassVar[str] = "saliency"

    def __post_init__(self) -> None:
        number = isinstance(self.threshold, int | float) and not isinstance(self.threshold, bool)
        if not (number and math.isfinite(self.threshold)):
            raise ValueError(f"`threshold` should be a number, not {self.threshold}")
        integers("ignore", self.ignore)

    def task(self, name: str) -> Task:
        """Saliency."""
        return Saliency(name)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """0 or 1 (1, h, w); 0 where ignored."""
        numbers = plane(stored, path)
        valid = ~np.isin(numbers, integers("ignore", self.ignore))
        wrong = numbers[~np.isfinite(numbers)]
        if wrong.size:
            raise UserError(f"{path}: saliency {wrong[0]} at {wrong.size} pixels should be finite: correct the file")
        return torch.from_numpy((valid & (numbers > self.threshold)).astype(np.float32))[None], torch.from_numpy(valid)
