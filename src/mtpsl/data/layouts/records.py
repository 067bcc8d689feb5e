"""How one image with its labels lies in a packed file: arrays of the smallest type that gives the same numbers back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from mtpsl.structures import TargetSpec

#: arrays begin at multiples of this
ALIGNMENT = 8
#: stored types of an image; `picture` and `levels` hold multiples of 1/255, the first is resized as a picture
IMAGE_TYPES = {"picture": "u1", "levels": "u1", "float16": "f2", "float32": "f4"}
LABEL_TYPES = {"uint8": "u1", "int16": "i2", "int32": "i4", "int64": "i8", "float16": "f2", "float32": "f4"}
#: before the type of a label that a network predicted
PREDICTED = "predicted "


@dataclass(frozen=True)
class Part:
    """An array within the bytes of a record."""

    start: int
    shape: tuple[int, ...]
    type: np.dtype

    @property
    def bytes(self) -> int:
        """How many bytes its numbers take."""
        return math.prod(self.shape) * self.type.itemsize

    @property
    def bit_bytes(self) -> int:
        """How many bytes it takes in bits."""
        return -(-math.prod(self.shape) // 8)

    @property
    def end(self) -> int:
        """Where the next array may begin."""
        return -(-(self.start + self.bytes) // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Parts:
    """The arrays of a record, one per task or None; `valid` in bits, row by row."""

    image: Part
    targets: list[Part | None]
    valid: list[Part | None]
    end: int


@dataclass(frozen=True)
class Record:
    """An image's key, size and the names of its stored types; a task without a label has None.

    `predicted` holds the places of the tasks whose label a network predicted.
    """

    key: str
    size: tuple[int, int]
    image: str
    labels: tuple[str | None, ...]
    predicted: frozenset[int] = frozenset()

    def parts(self, specs: Sequence[TargetSpec]) -> Parts:
        """Where its arrays lie."""
        return _arrange(self.size, self.image, self.labels, tuple(specs))

    def bytes(self, specs: Sequence[TargetSpec]) -> int:
        """Its length."""
        return self.parts(specs).end

    def row(self) -> list[Any]:
        """As it is written to JSON."""
        labels = [f"{PREDICTED}{x}" if place in self.predicted else x for place, x in enumerate(self.labels)]
        return [self.key, *self.size, self.image, *labels]


def record_from(row: Any, tasks: int) -> Record:
    """A record from JSON.

    Raises:
        ValueError: it is something else.
    """
    key, height, width, image, *labels = row
    predicted = frozenset(place for place, x in enumerate(labels) if isinstance(x, str) and x.startswith(PREDICTED))
    labels = [x.removeprefix(PREDICTED) if isinstance(x, str) else x for x in labels]
    sound = isinstance(key, str) and all(isinstance(side, int) and side > 0 for side in (height, width))
    if not sound or image not in IMAGE_TYPES or len(labels) != tasks or not {*labels} <= {*LABEL_TYPES, None}:
        raise ValueError(f"an image should have key, height, width and types of its numbers, not {row!r}")
    return Record(key, (height, width), image, tuple(labels), predicted)


def read_numbers(content: bytes, part: Part) -> np.ndarray:
    """An array from its `Part.bytes`, without copying."""
    return np.frombuffer(content, part.type).reshape(part.shape)


def read_bits(content: bytes, part: Part) -> np.ndarray:
    """An array of true and false from its `Part.bit_bytes`."""
    flags = np.unpackbits(np.frombuffer(content, np.uint8), count=math.prod(part.shape))
    return flags.view(bool).reshape(part.shape)


def pack(
    key: str,
    image: Image.Image | Tensor,
    labels: Sequence[tuple[Tensor, Bool[Tensor, "h w"]] | None],
    specs: Sequence[TargetSpec],
    predicted: Iterable[int] = (),
) -> tuple[Record, bytes]:
    """A record and its bytes.

    Args:
        key: the image's name.
        image: a picture, or values from 0 to 1.
        labels: target and valid pixels of each task, None without a label.
        specs: the form of each task's labels.
        predicted: the places of the tasks whose label a network predicted.
    """
    kind, values = _smallest_image(image)
    smallest = [None if label is None else smallest_label(label[0].numpy()) for label in labels]
    types = tuple(None if one is None else one[0] for one in smallest)
    record = Record(key, (values.shape[1], values.shape[2]), kind, types, frozenset(predicted))
    parts = record.parts(specs)
    content = bytearray(parts.end)
    _put(content, parts.image.start, values)
    for place, (label, one) in enumerate(zip(labels, smallest, strict=True)):
        target, mask = parts.targets[place], parts.valid[place]
        if label is not None and one is not None and target is not None and mask is not None:
            _put(content, target.start, one[1])
            _put(content, mask.start, np.packbits(label[1].numpy()))
    return record, bytes(content)


def smallest_label(x: np.ndarray) -> tuple[str, np.ndarray]:
    """The name of the smallest type that gives the same numbers back, to the bit, and the numbers in it.

    >>> smallest_label(np.array([0.0, 255.0], np.float32))[0], smallest_label(np.array([0.1], np.float32))[0]
    ('uint8', 'float32')
    """
    for name, code in LABEL_TYPES.items():
        with np.errstate(all="ignore"):
            small = x.astype(np.dtype(code).newbyteorder("<"))
            if small.astype(x.dtype).tobytes() == x.tobytes():
                return name, small
    raise ValueError(f"numbers of type {x.dtype} cannot be stored")


@lru_cache(maxsize=1024)  # most images of a set are alike
def _arrange(size: tuple[int, int], image: str, labels: tuple[str | None, ...], specs: tuple[TargetSpec, ...]) -> Parts:
    first = Part(0, (3, *size), np.dtype(IMAGE_TYPES[image]).newbyteorder("<"))
    end = first.end
    targets: list[Part | None] = []
    masks: list[Part | None] = []
    for name, spec in zip(labels, specs, strict=True):
        target = mask = None
        if name is not None:
            target = Part(end, spec.shape(*size), np.dtype(LABEL_TYPES[name]).newbyteorder("<"))
            mask = Part(target.end, size, np.dtype(np.uint8))
            end = target.end + -(-math.prod(size) // (8 * ALIGNMENT)) * ALIGNMENT
        targets.append(target)
        masks.append(mask)
    return Parts(first, targets, masks, end)


def _smallest_image(image: Image.Image | Tensor) -> tuple[str, np.ndarray]:
    if isinstance(image, Image.Image):
        return "picture", np.moveaxis(np.asarray(image), 2, 0)
    levels = (image * 255).round().clamp(0, 255).to(torch.uint8)
    values = image.numpy()
    if levels.float().div_(255).numpy().tobytes() == values.tobytes():
        return "levels", levels.numpy()
    with np.errstate(all="ignore"):
        half = values.astype("<f2")
    if half.astype(np.float32).tobytes() == values.tobytes():
        return "float16", half
    return "float32", values.astype("<f4")


def _put(content: bytearray, start: int, values: np.ndarray) -> None:
    data = np.ascontiguousarray(values).tobytes()
    content[start : start + len(data)] = data
