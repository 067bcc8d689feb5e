"""Reading arrays out of MATLAB's files: version 7.3 (HDF5) row by row, version 5 as a whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy

from mtpsl.errors import UserError


class MatlabRows:
    """The rows of some arrays of a MATLAB 7.3 file; HDF5 shows them with all axes in reversed order.

    Each process opens the file itself when it first reads: an open HDF5 file cannot be handed to another one.

    Args:
        path: the file.
        names: arrays that it should have, all of one length.
        source: where the file comes from, for the message if it is missing.

    Raises:
        UserError: it is missing, no such file, or lacks an array.
    """

    def __init__(self, path: Path, names: Sequence[str], source: str) -> None:
        self.path = require_file(path, source)
        self._opened: tuple[int, Any] | None = None
        with self._open() as file:
            for name in names:
                if not isinstance(file.get(name), h5py.Dataset):
                    raise UserError(f"{path}: has no array {name!r}, only {', '.join(file)}: use {source}")
            self.shapes: dict[str, tuple[int, ...]] = {name: file[name].shape for name in names}
        lengths = {name: shape[0] if shape else 0 for name, shape in self.shapes.items()}
        if len({*lengths.values()}) > 1:
            found = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise UserError(f"{path}: its arrays should have as many rows each, not {found}: use {source}")
        self.length = next(iter(lengths.values()))

    def read(self, name: str, row: int) -> np.ndarray:
        """One row of an array, its axes as in MATLAB: height, width (, channels).

        Raises:
            UserError: the file is damaged there.
        """
        if self._opened is None or self._opened[0] != os.getpid():
            if self._opened is not None:
                self._opened[1].close()  # this process's copy of what its parent had opened
            self._opened = os.getpid(), self._open()
        try:
            return np.ascontiguousarray(self._opened[1][name][row].T)
        except (OSError, RuntimeError, KeyError) as error:
            raise UserError(f"{self.path}: row {row} of {name!r} cannot be read: copy or unpack it again") from error

    def _open(self) -> Any:
        try:
            return h5py.File(self.path, "r")
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be read as a MATLAB 7.3 (HDF5) file: it is damaged or incomplete: get it again"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def read_matlab(path: Path, names: Sequence[str], source: str) -> dict[str, np.ndarray]:
    """The variables of a MATLAB 5 file; nothing in it is executed.

    Args:
        path: the file.
        names: variables that it should have.
        source: where the file comes from, for the message if it is missing.

    Raises:
        UserError: it is missing, no such file, or lacks a variable.
    """
    require_file(path, source)
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # a broken file makes scipy raise a dozen kinds
        raise UserError(f"{path}: cannot be read as a MATLAB file, it is damaged or foreign: use {source}") from error
    for name in names:
        if name not in content:
            found = ", ".join(key for key in content if not key.startswith("__")) or "nothing"
            raise UserError(f"{path}: has no variable {name!r}, only {found}: use {source}")
    return {key: value for key, value in content.items() if not key.startswith("__")}


def whole_numbers_of(values: np.ndarray, name: str, path: Path, low: int, high: int) -> list[int]:
    """The entries of a MATLAB variable as whole numbers within bounds, in MATLAB's order.

    Raises:
        UserError: it is empty, or an entry is something else.
    """
    flat = values.ravel(order="F")
    good = flat.dtype.kind in "biuf" and bool(flat.size) and not np.any((flat < low) | (flat > high) | (flat % 1 != 0))
    if not good:
        raise UserError(f"{path}: {name!r} should hold whole numbers from {low} to {high}: copy the file again")
    return [int(value) for value in flat]


def require_file(path: Path, source: str) -> Path:
    """Require a file.

    Raises:
        UserError: it is missing.
    """
    if not path.is_file():
        raise UserError(f"{path}: is missing: put it there; it is {source}")
    return path
