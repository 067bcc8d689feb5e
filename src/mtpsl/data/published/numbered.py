"""Folders of numbered arrays, `0.npy`, `1.npy`, ..., as the preprocessed sets of multi-task learning have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.data.base import StoredDataset
from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.formats.stored import read_array
from mtpsl.errors import UserError


class NumberedDataset(StoredDataset):
    """A split of numbered arrays: image i and its labels are the files `i.npy` of some folders.

    Args:
        formats: what is stored for each task.
        folders: where the arrays of `image` and of each task lie.
        size: height and width to resize to; None keeps every image's own.

    Raises:
        UserError: a folder is missing, a number is left out, or folders have different numbers of files.
    """

    def __init__(
        self, formats: dict[str, LabelFormat], folders: Mapping[str, Path], size: Sequence[int] | None
    ) -> None:
        super().__init__(formats, size)
        self.folders = {what: folders[what] for what in ("image", *formats)}
        count = count_numbered(self.folders)
        self.keys = [str(number) for number in range(count)]
        self.available: Bool[Tensor, "n k"] = torch.ones((count, len(self.tasks)), dtype=torch.bool)

    def image(self, index: int) -> Float[Tensor, "3 h w"]:
        """The array of an image."""
        return image_array(self.folders["image"] / f"{index}.npy", self._image_size)

    def original_size(self, index: int) -> tuple[int, int]:
        """Height and width of every image: that of the first one."""
        return self._image_size

    def stored(self, index: int, task: str) -> tuple[np.ndarray, Path]:
        """The array of a label."""
        path = self.folders[task] / f"{index}.npy"
        return read_array(path), path

    @cached_property
    def _image_size(self) -> tuple[int, int]:
        height, width = image_array(self.folders["image"] / "0.npy").shape[1:]
        return height, width


def count_numbered(folders: Mapping[str, Path]) -> int:
    """How many images there are if each of these folders holds one array per image; no file is opened.

    Args:
        folders: what lies in each folder; the first is that of the images.

    Raises:
        UserError: a folder is missing or empty, a number is missing, or two folders differ in their numbers.
    """
    counts = {what: _count(folder) for what, folder in folders.items()}
    (first, count), *others = counts.items()
    for what, other in others:
        if other != count:
            raise UserError(
                f"{folders[what]}: {other} files, but {folders[first]} has {count}: every image needs its {what}: "
                "unpack or copy the folders again"
            )
    return count


def _count(folder: Path) -> int:
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder: it should hold 0.npy, 1.npy, ...")
    names = {path.stem for path in folder.iterdir() if path.suffix == ".npy" and not path.name.startswith(".")}
    if not names:
        raise UserError(f"{folder}: there is no array in it: it should hold 0.npy, 1.npy, ...")
    missing = [number for number in range(len(names)) if str(number) not in names]
    if missing:
        strange = sorted(name for name in names if not name.isdecimal() or str(int(name)) != name)
        found = f"{strange[0]}.npy" if strange else f"{max(map(int, names))}.npy"
        raise UserError(
            f"{folder}: {missing[0]}.npy is missing, but there is {found}: files should be numbered 0.npy, 1.npy, ... "
            "without a gap: unpack or copy the folder again"
        )
    return len(names)


def image_array(path: Path, size: tuple[int, int] | None = None) -> Float[Tensor, "3 h w"]:
    """An image that is stored as an array (h, w, 3) of values from 0 to 1, or of bytes.

    Args:
        path: the npy file.
        size: the height and width that it should have, those of `0.npy`.

    Raises:
        UserError: the file is broken or holds something else.
    """
    stored = read_array(path)
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise UserError(f"{path}: an image should be an array (height, width, 3), not {stored.shape}: replace the file")
    if size is not None and stored.shape[:2] != size:
        raise UserError(
            f"{path}: the image is {stored.shape[0]}x{stored.shape[1]} (height x width), but 0.npy is "
            f"{size[0]}x{size[1]}: all should have one size: replace the file"
        )
    values = stored.astype(np.float32) / 255 if stored.dtype == np.uint8 else stored.astype(np.float32)
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if not (low >= -1e-4 and high <= 1 + 1e-4):  # false for nan, too
        raise UserError(
            f"{path}: an image should hold values from 0 to 1, or bytes, not {stored.dtype} from {low:g} to {high:g}: "
            "replace the file"
        )
    return torch.from_numpy(values).permute(2, 0, 1).contiguous().clamp_(0, 1)
