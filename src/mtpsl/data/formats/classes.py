"""Labels that give every pixel a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mtpsl.data.formats.base import (
    Given,
    Label,
    LabelFormat,
    equal_channels,
    is_color,
    is_integer,
    whole_numbers,
    whole_plane,
)
from mtpsl.data.formats.class_names import named_classes, stored_numbers
from mtpsl.data.formats.meanings import UNKNOWN, Meanings, color_codes, counted, show_color
from mtpsl.data.formats.palettes import table_numbers
from mtpsl.data.formats.stored import Stored
from mtpsl.errors import UserError
from mtpsl.tasks import HumanParts, Segmentation, Task
from mtpsl.tasks.class_losses import check_class_losses
from mtpsl.tasks.class_map import Absent
from mtpsl.tasks.human_parts import PART_NAMES

MOST_SHOWN = 12
"""Of so many classes an error shows every stored number."""


@dataclass(frozen=True)
class ClassMapFormat(LabelFormat):
    """A class index per pixel, another number that stands for a class, or a color of `colors`.

    Args:
        classes: names of the classes, or their number; or the stored number of each name, as {0: road, 255: car}.
        ignore: stored numbers, or colors as [[r, g, b]], that mean "unlabelled".
        colors: an RGB triple from 0 to 255 per class: what RGB files hold, and what pictures show; None for a class
            that no color stands for: pictures show it in one that is far from the others.
        absent: how a class that neither predictions nor labels show enters mIoU: `skip` or `zero`.
        values: the stored number of each class, or several in a list; by default 0, 1, ...
        class_weights: what the loss of a pixel of each class is multiplied with, one number per class; or `balanced`:
            all pixels over (classes times the class's pixels), counted in the training labels in use.
        label_smoothing: the part of each label, from 0 to below 1, that goes to all classes alike.
        dice: weight of a Dice loss beside cross-entropy.
    """

    classes: Given
    ignore: Given = ()
    colors: Given = None
    absent: Given = field(default="skip", kw_only=True)
    values: Given = field(default=None, kw_only=True)
    class_weights: Given = field(default=None, kw_only=True)
    label_smoothing: Given = field(default=0.0, kw_only=True)
    dice: Given = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.classes, Mapping):
            if self.values is not None:
                raise ValueError("`classes` says the stored numbers already: leave out `values`")
            names, values = named_classes(self.classes)
            object.__setattr__(self, "classes", names)
            object.__setattr__(self, "values", None if values == [*range(len(names))] else values)
        named = isinstance(self.classes, list | tuple) and all(isinstance(name, str) for name in self.classes)
        if not (named or is_integer(self.classes)):
            raise ValueError(
                "`classes` should be a number, a list of names (quote yes, no, on) or names with their stored numbers, "
                f"as {{0: road, 1: car}}, not {self.classes}"
            )
        if named and len({*self.classes}) != len(self.classes):
            raise ValueError("`classes` should not name a class twice")
        if self.num_classes < 2:
            raise ValueError(f"`classes` should be at least 2, not {self.num_classes}")
        if self.absent not in get_args(Absent):
            raise ValueError(f"`absent` should be skip or zero, not {self.absent}")
        if self.colors is not None and not (
            isinstance(self.colors, list | tuple)
            and len(self.colors) == self.num_classes
            and all(color is None or is_color(color) for color in self.colors)
        ):
            raise ValueError(
                f"`colors` should be {self.num_classes} triples [r, g, b] from 0 to 255, or null for a class that gets "
                f"a color of its own in pictures, not {self.colors}"
            )
        check_class_losses(self.num_classes, self.class_weights, self.label_smoothing, self.dice)
        numbers, _ = self._ignored
        if self.values is not None and (both := {*numbers} & {*self._numbers}):
            raise ValueError(f"{min(both)} should be in `values` or in `ignore`, not in both")

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    def task_options(self) -> dict[str, Any]:
        """What the task of these labels is made with, beside its name."""
        names = None if isinstance(self.classes, int) else self.classes
        return {
            "num_classes": self.num_classes,
            "class_names": names,
            "colors": self.colors,
            "absent": self.absent,
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
            "dice": self.dice,
        }

    @cached_property
    def _numbers(self) -> Mapping[int, int]:
        """The class of each stored number."""
        return stored_numbers(self.values, self.num_classes)

    @cached_property
    def _ignored(self) -> tuple[list[int], list[int]]:
        """Stored numbers and codes of colors that are unlabelled."""
        entries = [*self.ignore] if isinstance(self.ignore, list | tuple) else [self.ignore]
        colors = [entry for entry in entries if is_color(entry)]
        numbers = [entry for entry in entries if is_integer(entry)]
        if len(numbers) + len(colors) < len(entries):
            raise ValueError(
                f"`ignore` should be a whole number, a list of them or colors such as [[0, 0, 0]], not {self.ignore}"
            )
        return numbers, _codes(colors)

    @cached_property
    def meanings(self) -> Meanings:
        """The class of each stored number."""
        return Meanings(self._numbers, self._ignored[0])

    @cached_property
    def color_meanings(self) -> Meanings | None:
        """The class of each color; None where `colors` does not tell the classes apart."""
        named = {index: color for index, color in enumerate(self.colors or []) if color is not None}
        codes = _codes([*named.values()])
        if not codes or len({*codes}) < len(codes):
            return None
        return Meanings(dict(zip(codes, named, strict=True)), self._ignored[1])

    def numbers(self, stored: Stored, path: Path) -> np.ndarray:
        """The places in a color table are numbers, too."""
        return table_numbers(stored, self.meanings, self.color_meanings, path)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Class indices (h, w); 0 where ignored."""
        index = self._by_color(stored, path) if stored.ndim == 3 and stored.shape[2] == 3 else None
        if index is None:
            numbers = whole_numbers(stored, path)
            index = self.meanings(numbers)
            if (index == UNKNOWN).any():
                raise UserError(f"{path}: {self._unknown(numbers, numbers[index == UNKNOWN])}")
        return torch.from_numpy(index.clip(0)), torch.from_numpy(index >= 0)

    def encode(self, target: Tensor, valid: Bool[Tensor, "h w"]) -> np.ndarray:
        """Class indices; the number to ignore where unknown."""
        return whole_plane(target, valid, self._ignored[0][0])

    def _by_color(self, stored: np.ndarray, path: Path) -> Int[np.ndarray, "h w"] | None:
        """The class of each pixel's color; None for a gray picture in RGB, whose numbers count."""
        gray, known = equal_channels(stored), self.color_meanings
        codes = color_codes(stored)
        index = None if known is None else known(codes)
        if index is not None and not (index == UNKNOWN).any():
            return index
        if gray:
            return None
        found = counted(codes if index is None else codes[index == UNKNOWN], show_color)
        if index is not None:
            cure = "add them to `colors` or `ignore` in a dataset.yaml, or correct the file"
            raise UserError(f"{path}: colors that are no class and not in `ignore`: {found}: {cure}")
        cure = "name another color for each class, as colors: [[0, 0, 0], [128, 0, 0]], in a dataset.yaml"
        raise UserError(f"{path}: a mask in colors, but `colors` does not tell classes apart: {found}: {cure}")

    def _unknown(self, numbers: np.ndarray, unknown: np.ndarray) -> str:
        """What is wrong with numbers that are no class, and how to mend it."""
        if self.values is None:
            known = f"classes go from 0 to {self.num_classes - 1}"
        elif self.num_classes <= MOST_SHOWN:
            known = f"`values` is {self.values}"
        else:
            known = f"`values` has numbers from {min(self._numbers)} to {max(self._numbers)}"
        text = f"class index {counted(unknown)}, but {known} and `ignore` is {[*self._ignored[0]]}: "
        present = np.unique(numbers).tolist()
        if self.values is None and len(present) == self.num_classes == 2:
            return f"{text}these look like the two classes: write `values: {present}` in a dataset.yaml"
        return (
            f"{text}correct the file, or say in a dataset.yaml which stored number is which class (`values`) and which "
            "means unlabelled (`ignore`)"
        )


@dataclass(frozen=True)
class SegmentationFormat(ClassMapFormat):
    """Semantic segmentation; its fields are those of `ClassMapFormat`.

    >>> from pathlib import Path
    >>> target, valid = SegmentationFormat(["road", "car"], ignore=0, values=[7, [26, 27]]).decode(
    ...     np.array([[7, 26, 27, 0]]), Path("frame.png")
    ... )
    >>> target.tolist(), valid.tolist()
    ([[0, 1, 1, 0]], [[True, True, True, False]])
    """

    kind: ClassVar[str] = "segmentation"

    def task(self, name: str) -> Task:
        """Semantic segmentation."""
        return Segmentation(name, **self.task_options())


@dataclass(frozen=True)
class HumanPartsFormat(ClassMapFormat):
    """Parts of bodies, by default the seven of `HumanParts`; its fields are those of `ClassMapFormat`."""

    classes: Given = PART_NAMES
    kind: ClassVar[str] = "human_parts"

    def task(self, name: str) -> Task:
        """Parts of bodies."""
        return HumanParts(name, **self.task_options())


def _codes(colors: Any) -> list[int]:
    return color_codes(np.array(colors).reshape(-1, 3)).tolist()
