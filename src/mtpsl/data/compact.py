"""Tensors as bytes: of the smallest type that gives the same numbers back, to the bit."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

#: what numbers are stored as, smallest first
TYPES = ("u1", "i2", "f2", "i4")


def to_bytes(tensors: Sequence[Tensor]) -> bytes:
    """Tensors behind a line of JSON that says their shapes and types.

    >>> (x,) = from_bytes(to_bytes([torch.tensor([0.0, 1.0, 0.5])]))
    >>> x
    tensor([0.0000, 1.0000, 0.5000])
    """
    heads, contents = [], []
    for x in tensors:
        array = x.numpy()
        stored, divisor, content = smallest(array)
        heads.append([array.dtype.str, list(array.shape), stored, divisor])
        contents.append(content)
    return b"".join([json.dumps(heads).encode(), b"\n", *contents])


def from_bytes(content: bytes) -> list[Tensor]:
    """What `to_bytes` was given."""
    line = content.index(b"\n")
    place, tensors = line + 1, []
    for dtype, shape, stored, divisor in json.loads(content[:line]):
        count = math.prod(shape)
        if stored == "bits":
            length = -(-count // 8)
            packed = np.frombuffer(content, np.uint8, length, place)
            array = np.unpackbits(packed, count=count).view(bool)
        else:
            values = np.frombuffer(content, stored, count, place)
            length = values.nbytes
            array = restore(values, np.dtype(dtype), divisor)
        place += length
        tensors.append(torch.from_numpy(array.reshape(shape)))
    return tensors


def smallest(x: np.ndarray) -> tuple[str, int, bytes]:
    """The smallest type, what to divide numbers of it by, and the numbers in it.

    >>> smallest(np.array([1.0, 0.2], np.float32))[:2], smallest(np.array([-1, 300]))[:2]
    (('u1', 255), ('i2', 1))
    """
    if x.dtype == bool:
        return "bits", 1, np.packbits(x).tobytes()
    exact = np.ascontiguousarray(x)
    bits = exact.reshape(-1).view(np.uint8)
    for stored in TYPES:
        if np.dtype(stored).itemsize >= x.dtype.itemsize:
            continue
        for divisor in (
            (255, 1) if stored == "u1" and x.dtype == np.float32 else (1,)
        ):  # pictures hold multiples of 1/255
            with np.errstate(all="ignore"):
                small = (exact if divisor == 1 else np.rint(exact * divisor)).astype(stored)
                same = np.array_equal(restore(small, x.dtype, divisor).reshape(-1).view(np.uint8), bits)
            if same:
                return stored, divisor, small.tobytes()
    return x.dtype.str, 1, exact.tobytes()


def restore(values: np.ndarray, dtype: np.dtype, divisor: int) -> np.ndarray:
    """Numbers of a stored type as they were; always a copy."""
    restored = values.astype(dtype)
    return restored if divisor == 1 else np.divide(restored, dtype.type(divisor), out=restored)
