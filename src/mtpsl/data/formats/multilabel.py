"""Labels of several binary maps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.formats.base import Given, Label, LabelFormat, channels_last, integers, whole_numbers
from mtpsl.data.formats.class_names import stored_numbers
from mtpsl.data.formats.meanings import UNKNOWN, Meanings, counted
from mtpsl.data.formats.stored import read_stored
from mtpsl.errors import UserError
from mtpsl.tasks import MultiLabel, Task


@dataclass(frozen=True)
class MultiLabelFormat(LabelFormat):
    """A channel per class, 1 where the class is and 0 elsewhere: an array (h, w, classes), or a PNG of 1 to 4 channels.

    A pixel is unknown where one of its channels holds a number to ignore.

    Args:
        classes: names of the classes.
        ignore: stored numbers that mean "unknown".
        values: the stored numbers of absence and presence, or several in a list; by default 0 and 1.
    """

    classes: Given
    ignore: Given = ()
    values: Given = None
    kind: ClassVar[str] = "multilabel"
    suffix: ClassVar[str] = ".npy"

    def __post_init__(self) -> None:
        named = isinstance(self.classes, list | tuple) and all(isinstance(name, str) for name in self.classes)
        if not named or not self.classes or len({*self.classes}) < len(self.classes):
            raise ValueError(f"`classes` should be a list of different names (quote yes, no, on), not {self.classes}")
        if both := {*stored_numbers(self.values, 2)} & {*integers("ignore", self.ignore)}:
            raise ValueError(f"`ignore` should not contain {' or '.join(map(str, sorted(both)))}, not {self.ignore}")

    def task(self, name: str) -> Task:
        """Several binary maps."""
        return MultiLabel(name, class_names=self.classes)

    @cached_property
    def meanings(self) -> Meanings:
        """0 or 1 for each stored number."""
        return Meanings(stored_numbers(self.values, 2), integers("ignore", self.ignore))

    def load(self, path: Path, content: bytes | None = None) -> np.ndarray:
        """The numbers in a PNG or npy file; what is an alpha channel to others is the last class of two or four."""
        return self.numbers(read_stored(path, content, keep_alpha=len(self.classes) in (2, 4)), path)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """0 or 1 (classes, h, w); 0 where ignored."""
        count = len(self.classes)
        if count > 1 and (stored.ndim != 3 or stored.shape[2] != count):
            found = stored.shape[2] if stored.ndim == 3 else 1
            raise UserError(
                f"{path}: a label of this task should have {count} channels, one for each of `classes`, not {found}: "
                "correct `classes` in a dataset.yaml, or store an array (height, width, classes)"
            )
        maps = [stored] if count == 1 else [stored[..., channel] for channel in range(count)]
        numbers = np.stack([whole_numbers(one, path) for one in maps])
        kind = self.meanings(numbers)
        if (kind == UNKNOWN).any():
            known = "0, 1 (the class is there)" if self.values is None else f"`values` {self.values}"
            raise UserError(
                f"{path}: value {counted(numbers[kind == UNKNOWN])}, but multilabel should be {known} or one of "
                f"`ignore` {integers('ignore', self.ignore)}: say in a dataset.yaml which numbers mean that a class is "
                "absent and there (`values: [0, 255]`), and which means unknown (`ignore`)"
            )
        valid = (kind >= 0).all(0)
        return torch.from_numpy(np.where(valid, kind, 0)).float(), torch.from_numpy(valid)

    def encode(self, target: Tensor, valid: Bool[Tensor, "h w"]) -> np.ndarray:
        """0 or 1 (h, w, classes); the number to ignore where unknown."""
        return channels_last(target, valid, integers("ignore", self.ignore)[0]).astype(np.uint8)
