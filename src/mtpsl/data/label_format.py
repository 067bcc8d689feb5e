"""What all label files have in common: reading one, its size, and the values that dataset.yaml may give."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.arrays import nearest, read_array
from mtpsl.errors import UserError
from mtpsl.tasks import Task

#: a value of dataset.yaml, of any type until the format that holds it has checked it
Given = Any
Label = tuple[Tensor, Bool[Tensor, "h w"]]
Resized = tuple[Tensor, Bool[Tensor, "new_h new_w"]]


class LabelFormat(ABC):
    """The meaning of the numbers in the label files of one task; its fields are the keys of dataset.yaml.

    Raises:
        ValueError: a field has a wrong type or value; the message does not name the task.
    """

    #: the task type whose labels these are
    kind: ClassVar[str]
    #: accept PNG files with a colour table
    palette: ClassVar[bool] = False

    @abstractmethod
    def task(self, name: str) -> Task:
        """The task that such labels train."""

    @abstractmethod
    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Target and valid pixels of what a file holds; `path` decides about its kind and is named in errors."""

    def resize(self, target: Tensor, valid: Bool[Tensor, "h w"], size: tuple[int, int]) -> Resized:
        """Resize a label: the nearest pixel."""
        return nearest(target, size), nearest(valid, size)

    def read(self, path: Path, image_size: tuple[int, int] | None, size: tuple[int, int] | None = None) -> Label:
        """Read one file.

        Args:
            path: a PNG or npy file.
            image_size: stored height and width of the label's image, which the label has to share.
            size: height and width to resize to.

        Raises:
            UserError: the file is broken, has another size than its image, or holds values that mean nothing.
        """
        return self.interpret(read_array(path, palette=self.palette), path, image_size, size)

    def interpret(
        self, stored: np.ndarray, path: Path, image_size: tuple[int, int] | None, size: tuple[int, int] | None = None
    ) -> Label:
        """Target and valid pixels of a label that was read, resized; arguments and errors as for `read`."""
        if image_size is not None and stored.shape[:2] != image_size:
            found = "x".join(map(str, stored.shape))
            raise UserError(
                f"{path}: a label should have its image's size {image_size[0]}x{image_size[1]} (height x width), "
                f"not {found}: resize it without interpolation, or store arrays as (h, w) or (h, w, channels)"
            )
        target, valid = self.decode(stored, path)
        if size is not None and tuple(valid.shape) != tuple(size):
            return self.resize(target, valid, size)
        return target, valid


def plane(stored: np.ndarray, path: Path) -> np.ndarray:
    """A label of one channel as (h, w)."""
    if stored.ndim == 3 and stored.shape[2] == 1:
        return stored[:, :, 0]
    if stored.ndim != 2:
        raise UserError(f"{path}: a label of this task should have 1 channel, not {stored.shape[2:]}: save it as grey")
    return stored


def whole_numbers(stored: np.ndarray, path: Path) -> np.ndarray:
    """A label of one channel as (h, w) of int64."""
    numbers = plane(stored, path)
    if numbers.dtype.kind == "f":
        wrong = numbers[~(np.isfinite(numbers) & (numbers == np.round(numbers)) & (np.abs(numbers) < 2**31))]
        if wrong.size:
            raise UserError(f"{path}: value {wrong[0]} at {wrong.size} pixels should be a whole number: store integers")
    return numbers.astype(np.int64)


def is_integer(value: Any) -> bool:
    """Whether a value of dataset.yaml is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def integers(name: str, value: Any) -> list[int]:
    """A value of dataset.yaml that is a whole number or a list of them, as a list."""
    values = [*value] if isinstance(value, list | tuple) else [value]
    if not all(is_integer(one) for one in values):
        raise ValueError(f"`{name}` should be a whole number or a list of them, not {value}")
    return values


def positive(name: str, value: Any) -> None:
    """Require that a value of dataset.yaml is a positive number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not (0 < value < math.inf):
        raise ValueError(f"`{name}` should be a positive number, not {value}")
