"""Arrays in files: open them without executing anything, and resize them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from mtpsl.errors import UserError

ARRAY_SUFFIXES = (".png", ".npy")
ARRAY_MODES = ("1", "L", "I;16", "I;16B", "I", "RGB", "RGBA", "LA")


def read_array(path: Path, *, palette: bool = False) -> np.ndarray:
    """The stored numbers of a PNG or npy file, (h, w) or (h, w, c); nothing is unpickled.

    Args:
        path: a PNG or npy file.
        palette: accept a PNG with a colour table, whose numbers are the places in that table.

    Raises:
        UserError: the file is broken or holds something other than numbers.
    """
    if path.suffix.lower() == ".npy":
        return _load_numpy(path)
    picture = _open(path)
    if picture.mode not in ARRAY_MODES and not (palette and picture.mode == "P"):
        raise UserError(
            f"{path}: a label should be a plain PNG of numbers, not mode {picture.mode!r}: save it as a grey or RGB PNG"
        )
    return np.array(picture)


def nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Pick the nearest pixel for each pixel of the new size (..., h, w).

    >>> nearest(torch.arange(6).view(1, 6), (1, 3))
    tensor([[1, 3, 5]])
    """
    rows, columns = (
        (2 * torch.arange(new) + 1) * old // (2 * new) for new, old in zip(size, x.shape[-2:], strict=True)
    )
    return x[..., rows[:, None], columns]


def any_covered(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Mark a pixel of the new size if any pixel that it covers is marked; along an enlarged axis pick the nearest.

    >>> any_covered(torch.tensor([[False, True, False, False, False, False]]), (1, 3))
    tensor([[ True, False, False]])
    """
    height, width = x.shape[-2:]
    shrunk = (min(size[0], height), min(size[1], width))
    pooled = F.adaptive_max_pool2d(x.float()[None], shrunk)[0] > 0
    return nearest(pooled, size)


def _open(path: Path) -> Image.Image:
    try:
        with path.open("rb") as file:
            picture: Image.Image = Image.open(file, formats=("PNG", "JPEG"))
            picture.load()
    except Exception as error:  # a broken file makes Pillow raise OSError, SyntaxError, ValueError, zlib's and struct's
        raise UserError(f"{path}: cannot be read as a label ({_reason(error)}): replace or remove the file") from error
    return picture


def _load_numpy(path: Path) -> np.ndarray:
    try:
        # mapping compares the size that the header claims with the file's before memory is taken
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            array.close()
            raise ValueError("an archive of several arrays")
        if array.dtype.kind not in "biuf":
            raise ValueError(f"type {array.dtype}")
        return np.array(array)
    except Exception as error:  # a broken header makes numpy raise many types
        raise UserError(
            f"{path}: cannot be read as a numpy array ({_reason(error)}): replace or remove the file"
        ) from error


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
