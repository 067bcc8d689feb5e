"""Labels of any numbers per pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.formats.base import Given, Label, LabelFormat, channels_last, numbers_or_nan, plane, positive
from mtpsl.data.formats.meanings import counted
from mtpsl.data.formats.stored import Stored
from mtpsl.errors import UserError
from mtpsl.tasks import Regression, Task
from mtpsl.tasks.regression import check_regression


@dataclass(frozen=True)
class RegressionFormat(LabelFormat):
    """Numbers per pixel, (stored - offset) * scale: an array (h, w) or (h, w, channels), or a PNG of 1 or 3 channels.

    A pixel is unknown where one of its channels holds a number of `missing`.

    Args:
        channels: how many numbers a pixel has.
        loss: what training minimizes: `l1`, `l2` or `huber`.
        unit: the unit after scaling.
        range: the smallest and the largest number that can be, as [0, 1]; others in a file are an error.
        vector: `image` where the first two channels are a vector in the image plane, x to the right and y down, both in
            one unit of length in the image: it follows when the image is mirrored, magnified or turned.
        scale: what a stored step means.
        offset: the stored number that means 0.
        missing: stored numbers that mean "unknown"; may contain nan.
    """

    channels: Given = 1
    loss: Given = "l1"
    unit: Given = ""
    range: Given = None
    vector: Given = None
    scale: Given = 1.0
    offset: Given = 0.0
    missing: Given = "nan"
    kind: ClassVar[str] = "regression"
    suffix: ClassVar[str] = ".npy"

    def __post_init__(self) -> None:
        check_regression(self.channels, self.loss, self.range, self.vector)
        if not isinstance(self.unit, str):
            raise ValueError(f"`unit` should be a text such as m, not {self.unit}")
        positive("scale", self.scale)
        if isinstance(self.offset, bool) or not isinstance(self.offset, int | float) or not math.isfinite(self.offset):
            raise ValueError(f"`offset` should be a number, not {self.offset}")
        numbers_or_nan("missing", self.missing)

    def task(self, name: str) -> Task:
        """Regression."""
        return Regression(
            name, channels=self.channels, loss=self.loss, unit=self.unit, range=self.range, vector=self.vector
        )

    def numbers(self, stored: Stored, path: Path) -> np.ndarray:
        """Few bits are refused: 1 may be a 1, or the brightest of 255 levels."""
        if stored.bits in (1, 2, 4) and stored.table is None and stored.numbers.any():
            raise UserError(f"{path}: regression should have 8 or 16 bits in a PNG, not {stored.bits}: store more bits")
        return super().numbers(stored, path)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Numbers (c, h, w); 0 where missing."""
        if self.channels == 1:
            stored = plane(stored, path)[..., None]
        if stored.ndim != 3 or stored.shape[2] != self.channels:
            found = stored.shape[2] if stored.ndim == 3 else 1
            raise UserError(
                f"{path}: a label of this task should have {self.channels} channels, not {found}: correct `channels` "
                "in a dataset.yaml, or store an array (height, width, channels)"
            )
        if stored.dtype == np.bool_ and stored.any():
            raise UserError(f"{path}: regression should be numbers, not bool: replace the file")
        valid = np.ones(stored.shape[:2], bool)
        for value in numbers_or_nan("missing", self.missing):
            valid &= (~np.isnan(stored) if math.isnan(value) else stored != value).all(2)
        with np.errstate(over="ignore", invalid="ignore"):
            known = np.where(valid[..., None], stored, self.offset).astype(np.float64)
            numbers = ((known - self.offset) * self.scale).astype(np.float32)
        wrong = stored[~np.isfinite(numbers)]
        if wrong.size:
            raise UserError(
                f"{path}: value {counted(wrong)} should be finite: correct the file, or name the value in `missing` in "
                "a dataset.yaml"
            )
        if self.range is not None:
            low, high = np.float32(self.range[0]), np.float32(self.range[1])
            beyond = numbers[valid][(numbers[valid] < low) | (numbers[valid] > high)]
            if beyond.size:
                raise UserError(
                    f"{path}: value {counted(beyond)} should lie in `range` {[*self.range]}: correct `range`, `scale` "
                    "or `missing` in a dataset.yaml, or the file"
                )
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(numbers, 2, 0))), torch.from_numpy(valid)

    def encode(self, target: Tensor, valid: Bool[Tensor, "h w"]) -> np.ndarray:
        """Numbers (h, w, c); NaN where missing."""
        return channels_last(target, valid, math.nan)
