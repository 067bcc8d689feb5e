"""The numbers that a label file stores, as stored: nothing stretched, rounded, turned into colors or unpickled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from mtpsl.errors import UserError
from mtpsl.png import lower_bytes, png_bits

LABEL_MODES = ("1", "L", "P", "I;16", "I;16B", "I", "RGB", "RGBA", "LA")


@dataclass(frozen=True)
class Stored:
    """What a label file holds.

    Args:
        numbers: (h, w) or (h, w, c); the places in the color table where there is one.
        bits: of each number of a PNG; None for an npy file.
        table: the color table of a palette PNG, a row of red, green and blue per place.
    """

    numbers: np.ndarray
    bits: int | None = None
    table: np.ndarray | None = None


def read_stored(path: Path, content: bytes | None = None, *, keep_alpha: bool = False) -> Stored:
    """Read a PNG or npy file; an alpha channel that is opaque everywhere is left out, unless `keep_alpha`.

    Args:
        path: the file.
        content: what it holds, where that was read already; then `path` tells its kind, and is named in errors.
        keep_alpha: an alpha channel is one as the others.

    Raises:
        UserError: the file is broken or holds something other than numbers.
    """
    if path.suffix.lower() == ".npy":
        return Stored(_load_numpy(path, content))
    picture, bits, lower = _open(path, content)
    if bits is None:
        raise UserError(f"{path}: is a JPEG, which changes a label's numbers: store them as a PNG")
    if picture.mode not in LABEL_MODES or (bits == 16 and picture.mode == "LA"):
        raise UserError(
            f"{path}: a label should be a plain PNG of numbers, not mode {picture.mode!r} of {bits} bits: "
            "store gray numbers without an alpha channel, or RGB"
        )
    table = None
    if picture.mode == "P":
        table = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    numbers = _numbers(picture, bits, lower)
    return Stored(numbers if keep_alpha else _without_alpha(numbers), bits, table)


def read_array(path: Path) -> np.ndarray:
    """The numbers of a PNG or npy file without a color table, (h, w) or (h, w, c).

    Raises:
        UserError: the file is broken or holds something other than numbers.
    """
    stored = read_stored(path)
    if stored.table is not None:
        raise UserError(f"{path}: should be a plain PNG of numbers, without a color table: store gray numbers or RGB")
    return stored.numbers


def _open(path: Path, content: bytes | None) -> tuple[Image.Image, int | None, Image.Image | None]:
    """A picture, bits of its numbers if it is a PNG, and their lower bytes where Pillow leaves them out."""
    try:
        with path.open("rb") if content is None else BytesIO(content) as file:
            picture: Image.Image = Image.open(file, formats=("PNG", "JPEG"))
            picture.load()
            bits = png_bits(file)
            cut = bits == 16 and picture.mode in ("RGB", "RGBA")
            return picture, bits, lower_bytes(Image.open(file, formats=("PNG",))) if cut else None
    except Exception as error:  # a broken file makes Pillow raise OSError, SyntaxError, ValueError, zlib's and struct's
        raise UserError(f"{path}: cannot be read as a label ({_reason(error)}): replace or remove the file") from error


def _numbers(picture: Image.Image, bits: int, lower: Image.Image | None) -> np.ndarray:
    numbers = np.array(picture)
    if picture.mode == "L" and bits < 8:  # Pillow stretches them to the range of 8 bits
        return numbers // np.uint8(255 // (2**bits - 1))
    return numbers if lower is None else numbers.astype(np.uint16) << 8 | np.array(lower)


def _without_alpha(numbers: np.ndarray) -> np.ndarray:
    if numbers.ndim == 3 and numbers.shape[2] in (2, 4) and (numbers[..., -1] == np.iinfo(numbers.dtype).max).all():
        numbers = numbers[..., :-1]
    return numbers


def _load_numpy(path: Path, content: bytes | None) -> np.ndarray:
    try:
        try:
            array = _mapped(path, content)
        except SystemError:  # Python 3.11's parser, with which numpy reads headers, may stumble over another thread
            array = _mapped(path, content)
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


def _mapped(path: Path, content: bytes | None) -> Any:
    # mapping compares the size that the header claims with the file's before memory is taken
    return np.load(path, mmap_mode="r", allow_pickle=False) if content is None else _array_in(content)


def _array_in(content: bytes) -> np.ndarray:
    file = BytesIO(content)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, by_columns, kind = read_header[np.lib.format.read_magic(file)](file)
    if kind.hasobject:
        raise ValueError(f"type {kind}")
    numbers = np.frombuffer(content, kind, math.prod(shape), file.tell())
    return numbers.reshape(shape, order="F" if by_columns else "C")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # whose text names an object of Python
        return "it is no PNG"
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
