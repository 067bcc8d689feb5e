"""What all label files have in common: reading one, its size, and the values that dataset.yaml may give."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.data.formats.files import nearest
from mtpsl.data.formats.meanings import counted
from mtpsl.data.formats.stored import Stored, read_stored
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
    #: of files that hold such labels without loss (`encode`)
    suffix: ClassVar[str] = ".png"

    @abstractmethod
    def task(self, name: str) -> Task:
        """The task that such labels train."""

    @abstractmethod
    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Target and valid pixels of what a file holds; `path` decides about its kind and is named in errors."""

    @abstractmethod
    def encode(self, target: Tensor, valid: Bool[Tensor, "h w"]) -> np.ndarray:
        """What a file (of `suffix`) holds from which `decode` gives the label back, if this is a `lossless_format`."""

    def numbers(self, stored: Stored, path: Path) -> np.ndarray:
        """The numbers that count in what a file stores, (h, w) or (h, w, c).

        Raises:
            UserError: it stores them in a way that leaves open what they are.
        """
        if stored.table is not None:
            raise UserError(
                f"{path}: {self.kind} should be a plain PNG of numbers, not a color table: store the numbers that the "
                "colors were made from"
            )
        return stored.numbers

    def load(self, path: Path, content: bytes | None = None) -> np.ndarray:
        """The numbers in a PNG or npy file; `content` is what it holds where that was read already.

        Raises:
            UserError: the file is broken, or leaves open what its numbers are.
        """
        return self.numbers(read_stored(path, content), path)

    def resize(self, target: Tensor, valid: Bool[Tensor, "h w"], size: tuple[int, int]) -> Resized:
        """Resize a label: the nearest pixel."""
        return nearest(target, size), nearest(valid, size)

    def read(self, path: Path, image_size: tuple[int, int] | None, size: tuple[int, int] | None = None) -> Label:
        """Read one file.

        Args:
            path: a PNG or npy file.
            image_size: stored height and width of the label's image, which the label has to share; with `size`, one of
                the same aspect ratio is enough.
            size: height and width to resize to.

        Raises:
            UserError: the file is broken, has another size than its image, or holds values that mean nothing.
        """
        return self.interpret(self.load(path), path, image_size, size)

    def interpret(
        self, stored: np.ndarray, path: Path, image_size: tuple[int, int] | None, size: tuple[int, int] | None = None
    ) -> Label:
        """Target and valid pixels of a label that was read, resized; arguments and errors as for `read`."""
        if image_size is not None and stored.shape[:2] != image_size:
            alike = stored.ndim >= 2 and same_view(stored.shape[:2], image_size)
            if not alike or size is None:
                found = "x".join(map(str, stored.shape))
                cure = "resize it without interpolation, or store arrays as (h, w) or (h, w, channels)"
                if alike:
                    cure = "resize it without interpolation, or everything on reading with --data.size HEIGHT,WIDTH"
                raise UserError(
                    f"{path}: a label should have its image's size {image_size[0]}x{image_size[1]} (height x width), "
                    f"not {found}: {cure}"
                )
        target, valid = self.decode(stored, path)
        if size is not None and tuple(valid.shape) != tuple(size):
            return self.resize(target, valid, size)
        return target, valid


def same_view(label: tuple[int, ...], image: tuple[int, int]) -> bool:
    """Whether a label has the aspect ratio of its image, up to 1 % or a pixel, as the finer or coarser of two cameras.

    >>> same_view((480, 640), (968, 1296)), same_view((94, 125), (375, 500)), same_view((640, 480), (480, 640))
    (True, True, False)
    """
    expected = label[1] * image[0] / image[1]
    return abs(label[0] - expected) <= max(1, 0.01 * expected)


def whole_plane(target: Tensor, valid: Bool[Tensor, "h w"], ignore: int) -> np.ndarray:
    """A target of whole numbers, (h, w) or (1, h, w), as a picture's; `ignore` where it is not known."""
    kind = np.uint8 if ignore < 256 else np.uint16
    return np.where(valid.numpy(), target.reshape(valid.shape).numpy(), ignore).astype(kind)


def channels_last(target: Float[Tensor, "c h w"], valid: Bool[Tensor, "h w"], unknown: float) -> np.ndarray:
    """A target as an array (h, w, c); `unknown` where it is not known."""
    return np.where(valid.numpy()[..., None], np.moveaxis(target.numpy(), 0, 2), np.float32(unknown))


def equal_channels(stored: np.ndarray) -> bool:
    """Whether an array of three channels is a gray one that was saved as RGB."""
    return bool((stored[..., 0] == stored[..., 1]).all() and (stored[..., 0] == stored[..., 2]).all())


def plane(stored: np.ndarray, path: Path) -> np.ndarray:
    """A label of one channel, or of three that are equal, as (h, w)."""
    channels = stored.shape[2] if stored.ndim == 3 else None
    if stored.ndim == 2:
        return stored
    if channels == 1 or (channels == 3 and equal_channels(stored)):
        return stored[:, :, 0]
    found, cure = f"{channels}", "store an array (height, width)"
    if channels in (2, 4):
        cure = "store what is transparent as a number, and remove the alpha channel"
    elif channels == 3:
        found, cure = "3 that differ", "store the numbers themselves, which cannot be told from a picture in colors"
    elif channels is None:
        found = f"an array of shape {stored.shape}"
    raise UserError(f"{path}: a label of this task should have 1 channel, not {found}: {cure}")


def whole_numbers(stored: np.ndarray, path: Path) -> np.ndarray:
    """A label of one channel as (h, w) of whole numbers or bools."""
    numbers = plane(stored, path)
    if numbers.dtype.kind != "f":
        return numbers
    numbers = numbers.astype(np.float64)
    wrong = numbers[~(np.isfinite(numbers) & (numbers == np.round(numbers)) & (np.abs(numbers) < 2**31))]
    if wrong.size:
        raise UserError(f"{path}: value {counted(wrong)} should be a whole number: store integers")
    return numbers.astype(np.int64)


def is_integer(value: Any) -> bool:
    """Whether a value of dataset.yaml is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**62


def is_color(value: Any) -> bool:
    """Whether a value of dataset.yaml is a triple of red, green and blue from 0 to 255."""
    triple = isinstance(value, list | tuple) and len(value) == 3
    return triple and all(is_integer(part) and 0 <= part <= 255 for part in value)


def integers(name: str, value: Any) -> list[int]:
    """A value of dataset.yaml that is a whole number or a list of them, as a list."""
    values = [*value] if isinstance(value, list | tuple) else [value]
    if not all(is_integer(one) for one in values):
        raise ValueError(f"`{name}` should be a whole number or a list of them, not {value}")
    return values


def numbers_or_nan(name: str, value: Any) -> list[float]:
    """A value of dataset.yaml that is a number, nan or a list of them, as a list."""
    values = value if isinstance(value, list | tuple) else [value]
    try:
        return [float("x" if isinstance(one, bool) else one) for one in values]
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` should be a number, nan or a list of them, not {value}") from None


def positive(name: str, value: Any) -> None:
    """Require that a value of dataset.yaml is a positive number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not (0 < value < math.inf):
        raise ValueError(f"`{name}` should be a positive number, not {value!r}")
