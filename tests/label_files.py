"""Label files in every form that tools write, among them those that Pillow cannot save."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6


def write_png(path: Path, numbers: np.ndarray, bits: int, kind: int = GRAY, table: np.ndarray | None = None) -> Path:
    """A PNG whose samples are exactly `numbers`, (h, w) or (h, w, c), of 1, 2, 4, 8 or 16 bits."""
    rows = numbers.reshape(len(numbers), -1)
    if bits == 16:
        lines = [row.astype(">u2").tobytes() for row in rows]
    else:
        lines = [_packed("".join(format(int(number), f"0{bits}b") for number in row)) for row in rows]
    header = struct.pack(">IIBBBBB", numbers.shape[1], numbers.shape[0], bits, kind, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines))), (b"IEND", b"")]
    if table is not None:
        parts.insert(1, (b"PLTE", table.astype(np.uint8).tobytes()))
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def write_as(form: str, folder: Path, numbers: np.ndarray) -> Path:
    """Small whole numbers (h, w) as a file of a form, such as `png gray 4` or `npy float32`."""
    kind, *words = form.split()
    if kind == "npy":
        path = folder / "label.npy"
        np.save(path, numbers.astype(words[0]))
        return path
    path, bits = folder / "label.png", int(words[1])
    top = 2**bits - 1
    if words[0] == "gray":
        return write_png(path, numbers, bits)
    if words[0] == "gray+alpha":
        Image.fromarray(np.dstack([numbers, np.full_like(numbers, 255)]).astype(np.uint8), "LA").save(path)
        return path
    if words[0] == "palette":  # colors that say nothing, as those of a labelling tool
        table = np.random.default_rng(0).permutation(256)[: 3 * 16].reshape(16, 3)
        return write_png(path, numbers, bits, PALETTE, table[: 2**bits])
    channels = [numbers] * 3 + [np.full_like(numbers, top)] * (words[0] == "rgb+alpha")
    return write_png(path, np.dstack(channels), bits, RGB_ALPHA if len(channels) == 4 else RGB)


def _packed(digits: str) -> bytes:
    return bytes(int(digits[start : start + 8].ljust(8, "0"), 2) for start in range(0, len(digits), 8))


#: forms that hold numbers up to 3
GRAY_FORMS = ("png gray 2", "png gray 4", "png gray 8", "png gray 16", "png gray+alpha 8")
COLOR_FORMS = ("png rgb 8", "png rgb 16", "png rgb+alpha 8", "png rgb+alpha 16")
PALETTE_FORMS = ("png palette 2", "png palette 4", "png palette 8")
ARRAY_FORMS = ("npy uint8", "npy uint16", "npy int64", "npy float16", "npy float32", "npy float64")
#: forms that hold 0 and 1
BIT_FORMS = ("png gray 1", "npy bool", "png palette 1")
EVERY_FORM = (*GRAY_FORMS, *COLOR_FORMS, *PALETTE_FORMS, *ARRAY_FORMS)
