"""Labels that give every pixel a class."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import torch

from mtpsl.data.label_format import Given, Label, LabelFormat, integers, is_integer, whole_numbers
from mtpsl.errors import UserError
from mtpsl.tasks import HumanParts, Segmentation, Task
from mtpsl.tasks.human_parts import PART_NAMES
from mtpsl.tasks.segmentation import Absent


@dataclass(frozen=True)
class SegmentationFormat(LabelFormat):
    """A class index per pixel.

    Args:
        classes: names of the classes, or their number.
        ignore: stored numbers that mean "unlabelled".
        colors: an RGB triple from 0 to 255 per class.
        absent: how a class that neither predictions nor labels show enters mIoU: `skip` or `zero`.
    """

    classes: Given
    ignore: Given = ()
    colors: Given = None
    absent: Given = field(default="skip", kw_only=True)
    palette: ClassVar[bool] = True
    kind: ClassVar[str] = "segmentation"

    def __post_init__(self) -> None:
        named = isinstance(self.classes, list | tuple) and all(isinstance(name, str) for name in self.classes)
        if not (named or is_integer(self.classes)):
            raise ValueError(f"`classes` should be a number or a list of names (quote yes, no, on), not {self.classes}")
        if named and len({*self.classes}) != len(self.classes):
            raise ValueError("`classes` should not name a class twice")
        if self.num_classes < 2:
            raise ValueError(f"`classes` should be at least 2, not {self.num_classes}")
        integers("ignore", self.ignore)
        if self.absent not in get_args(Absent):
            raise ValueError(f"`absent` should be skip or zero, not {self.absent}")
        if self.colors is not None and not (
            isinstance(self.colors, list | tuple)
            and len(self.colors) == self.num_classes
            and all(isinstance(color, list | tuple) and len(color) == 3 for color in self.colors)
            and all(is_integer(part) and 0 <= part <= 255 for color in self.colors for part in color)
        ):
            raise ValueError(
                f"`colors` should be {self.num_classes} triples [r, g, b] from 0 to 255, not {self.colors}"
            )

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    def task(self, name: str) -> Task:
        """Semantic segmentation."""
        return Segmentation(name, **self._options())

    def _options(self) -> dict[str, Any]:
        names = None if isinstance(self.classes, int) else self.classes
        return {"num_classes": self.num_classes, "class_names": names, "colors": self.colors, "absent": self.absent}

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Class indices (h, w); 0 where ignored."""
        index = whole_numbers(stored, path)
        ignore = integers("ignore", self.ignore)
        valid = np.ones(index.shape, bool)
        for value in ignore:
            valid &= index != value
        wrong = index[valid & ((index < 0) | (index >= self.num_classes))]
        if wrong.size:
            raise UserError(
                f"{path}: class index {wrong[0]} at {wrong.size} pixels, but classes go from 0 to "
                f"{self.num_classes - 1} and `ignore` is {ignore}: correct the file, or these two in a dataset.yaml"
            )
        return torch.from_numpy(np.where(valid, index, 0)), torch.from_numpy(valid)


@dataclass(frozen=True)
class HumanPartsFormat(SegmentationFormat):
    """The part of a body at every pixel, as a class index; by default the seven classes of `HumanParts`.

    Args:
        classes: names of the classes, or their number.
        ignore: stored numbers that mean "unlabelled".
        colors: an RGB triple from 0 to 255 per class.
        absent: how a class that neither predictions nor labels show enters mIoU: `skip` or `zero`.
    """

    classes: Given = PART_NAMES
    kind: ClassVar[str] = "human_parts"

    def task(self, name: str) -> Task:
        """Parts of bodies."""
        return HumanParts(name, **self._options())
