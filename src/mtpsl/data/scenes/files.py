"""The built-in scenes as files: dataset.yaml, the stored numbers, and a folder that is whole or absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch import Tensor

from mtpsl.data.scenes.furniture import CLASSES
from mtpsl.errors import UserError

#: one for each class
COLORS = (
    (150, 111, 80),
    (205, 205, 215),
    (245, 245, 190),
    (214, 64, 53),
    (240, 160, 30),
    (110, 70, 160),
    (60, 140, 225),
    (20, 90, 120),
    (70, 165, 70),
    (235, 120, 190),
)

#: the entries of dataset.yaml
FORMATS: dict[str, dict[str, object]] = {
    "segmentation": {"classes": [*CLASSES], "ignore": 255, "colors": [[*color] for color in COLORS]},
    "depth": {"scale": 0.001, "missing": 0, "unit": "m"},
    "normals": {"offset": 128, "divisor": 127},
    "edges": {"ignore": 255},
}


def stored(task: str, target: Tensor) -> np.ndarray:
    """The array of a label's PNG: classes, millimetres in 16 bits, 128 + 127 times the normal, edges 0 or 1.

    >>> stored("depth", Tensor([[[1.2346]]]))
    array([[1235]], dtype=uint16)
    """
    x = target.numpy()
    if task == "depth":
        return np.clip(np.round(x[0] * 1000), 1, 65535).astype(np.uint16)
    if task == "normals":
        return (np.round(127 * np.moveaxis(x, 0, 2)) + 128).astype(np.uint8)
    return (x[0] if task == "edges" else x).astype(np.uint8)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that takes its place when the block ends, and vanishes if the block fails.

    What an earlier, killed process left of it is removed.

    Raises:
        UserError: `out` is a file, holds files, or cannot be written.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not an empty folder: give another one or remove it")
    partial = out.with_name(f".{out.name}.partial")
    try:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        yield partial
        if out.exists():
            out.rmdir()
        os.replace(partial, out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
