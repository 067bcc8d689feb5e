"""Labels that measure the scene: depth and normals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.formats.base import Given, Label, LabelFormat, channels_last, numbers_or_nan, plane, positive
from mtpsl.data.formats.meanings import counted
from mtpsl.data.formats.stored import Stored
from mtpsl.errors import UserError
from mtpsl.phrases import counted as number_of
from mtpsl.tasks import Depth, Normals, Task
from mtpsl.tasks.depth import DepthLoss
from mtpsl.tasks.normals import NormalsLoss, YAxis


@dataclass(frozen=True)
class DepthFormat(LabelFormat):
    """A depth per pixel: stored value times `scale`.

    Args:
        scale: the unit of a stored 1.
        missing: stored numbers that mean "unknown"; may contain nan.
        unit: the unit after scaling; by default m, or 1/m of inverse depth.
        inverse: whether the numbers are inverse depths, such as disparities: larger is nearer.
        loss: what training minimizes: `l1`, the absolute difference, or `silog`, the scale-invariant error of
            logarithms.
        gradient: weight of a loss beside it that compares gradients at four resolutions.
    """

    scale: Given = 1.0
    missing: Given = 0.0
    unit: Given = None
    inverse: Given = False
    loss: Given = "l1"
    gradient: Given = 0.0
    kind: ClassVar[str] = "depth"
    suffix: ClassVar[str] = ".npy"

    def __post_init__(self) -> None:
        positive("scale", self.scale)
        numbers_or_nan("missing", self.missing)
        if self.unit is not None and not isinstance(self.unit, str):
            raise ValueError(f"`unit` should be a text such as m, not {self.unit}")
        if not isinstance(self.inverse, bool):
            raise ValueError(f"`inverse` should be true or false, not {self.inverse}")
        if self.loss not in get_args(DepthLoss):
            raise ValueError(f"`loss` should be l1 or silog, not {self.loss}")
        if self.gradient != 0 or isinstance(self.gradient, bool):
            positive("gradient", self.gradient)

    def task(self, name: str) -> Task:
        """Depth."""
        return Depth(name, unit=self.unit, inverse=self.inverse, loss=self.loss, gradient=self.gradient)

    def numbers(self, stored: Stored, path: Path) -> np.ndarray:
        """Few bits are refused: 1 may be a 1, or the brightest of 255 levels."""
        if stored.bits in (1, 2, 4) and stored.table is None and stored.numbers.any():
            raise UserError(f"{path}: depth should have 8 or 16 bits in a PNG, not {stored.bits}: store more bits")
        return super().numbers(stored, path)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Depth (1, h, w); 0 where missing."""
        stored = plane(stored, path)
        if stored.dtype == np.bool_ and stored.any():
            raise UserError(f"{path}: depth should be numbers, not bool: replace the file")
        valid = np.ones(stored.shape, bool)
        for value in numbers_or_nan("missing", self.missing):
            valid &= ~np.isnan(stored) if math.isnan(value) else stored != value
        with np.errstate(over="ignore", invalid="ignore"):
            depth = (np.where(valid, stored, 0).astype(np.float64) * self.scale).astype(np.float32)
        wrong = stored[~(np.isfinite(depth) & (depth >= 0))]
        if wrong.size:
            raise UserError(
                f"{path}: depth {counted(wrong)}, but depth should be finite and not negative: "
                f"correct the file, or name the value in `missing` in a dataset.yaml"
            )
        return torch.from_numpy(depth)[None], torch.from_numpy(valid)

    def encode(self, target: Tensor, valid: Bool[Tensor, "h w"]) -> np.ndarray:
        """Depth; NaN where missing."""
        return channels_last(target, valid, math.nan)[..., 0]


@dataclass(frozen=True)
class NormalsFormat(LabelFormat):
    """A unit vector per pixel: (stored - offset) / divisor in a PNG or bytes, the vector itself in other arrays.

    The vector whose stored or decoded components are all zero means "unknown". The defaults are the usual
    2 v / 255 - 1, or 2 v / 65535 - 1 where 16 bits are stored.

    Args:
        offset: the stored number of a zero component; by default half of the largest one, 127.5 of 8 bits.
        divisor: how many steps a component of 1 is above it; by default as many.
        loss: what training minimizes: `cosine`, one minus the cosine of the angle, or `l1`, the absolute difference.
        y_axis: where the second component points, `up` or `down`; only turned images need it (`training.rotation`).
    """

    offset: Given = None
    divisor: Given = None
    loss: Given = "cosine"
    y_axis: Given = "up"
    kind: ClassVar[str] = "normals"
    suffix: ClassVar[str] = ".npy"

    def __post_init__(self) -> None:
        for name in ("offset", "divisor"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        if self.loss not in get_args(NormalsLoss):
            raise ValueError(f"`loss` should be cosine or l1, not {self.loss}")
        if self.y_axis not in get_args(YAxis):
            raise ValueError(f"`y_axis` should be up or down, not {self.y_axis}")

    def task(self, name: str) -> Task:
        """Surface normals."""
        return Normals(name, loss=self.loss, y_axis=self.y_axis)

    def encoding(self, stored: np.ndarray) -> tuple[float, float] | None:
        """Offset and divisor of what is stored; None for vectors themselves."""
        if stored.dtype.kind != "u":
            return None
        half = np.iinfo(stored.dtype).max / 2
        return float(self.offset or half), float(self.divisor or half)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Unit vectors (3, h, w); zero where missing."""
        if stored.ndim != 3 or stored.shape[2] != 3:
            channels = stored.shape[2] if stored.ndim == 3 else 1
            raise UserError(
                f"{path}: normals should have 3 channels, not {channels}: save x, y, z as RGB, without alpha"
            )
        x, y, z = vectors = np.ascontiguousarray(np.moveaxis(stored, 2, 0), dtype=np.float32)
        missing = (x == 0) & (y == 0) & (z == 0)
        tolerance, shortest = 0.05, 0.0
        if encoding := self.encoding(stored):
            offset, divisor = encoding
            x, y, z = vectors = (vectors - np.float32(offset)) / np.float32(divisor)
            # rounding moves each component by at most half a step
            tolerance, shortest = 0.05 + math.sqrt(3) / 2 / divisor, 1 / divisor
        with np.errstate(over="ignore", invalid="ignore"):
            length = np.sqrt(x * x + y * y + z * z)
        missing |= length <= shortest
        wrong = length[~missing & ~(np.abs(length - 1) <= tolerance)]
        if wrong.size:
            raise UserError(
                f"{path}: normals of length {wrong[0]:.3g} at {number_of(wrong.size, 'pixel')}, but their "
                "length should be 1 "
                "(within 5 %): correct `offset` and `divisor` in a dataset.yaml, or store unit vectors, and (0, 0, 0) "
                "where unknown"
            )
        # float32 keeps length 1 only to 3e-7: dividing a unit vector again would change it, and so a converted set
        scale = np.where(np.abs(length - 1) <= 1e-6, 1, 1 / np.where(missing, 1, length)).astype(np.float32)
        unit = vectors * np.where(missing, 0, scale)
        return torch.from_numpy(unit), torch.from_numpy(~missing)

    def encode(self, target: Tensor, valid: Bool[Tensor, "h w"]) -> np.ndarray:
        """Unit vectors (h, w, 3); zero where missing."""
        return channels_last(target, valid, 0)


#: a vector as short as this has no direction: rounded zeros, or vectors that cancel out each other
SHORTEST = 0.1
#: interpolation only shortens, so a longer one is none of a normal
LONGEST = 1.1


@dataclass(frozen=True)
class ResampledNormalsFormat(NormalsFormat):
    """As `NormalsFormat`, but vectors may be shorter than 1; those of length 0.1 or less are unknown.

    An interpolated vector is shorter the more its neighbors differ (or are the zero vector of unknown pixels); it
    keeps a direction, so it is brought to length 1. In a PNG black is unknown, too. Public code for these files
    likewise counts every vector but zero as known.

    >>> vectors = np.array([[[0.0, 0.0, 0.0], [0.0, 0.0, 0.9], [0.0, 0.03, 0.04]]])
    >>> target, valid = ResampledNormalsFormat().decode(vectors, Path("0.npy"))
    >>> target[:, 0, 1].tolist(), valid.tolist()
    ([0.0, 0.0, 1.0], [[False, True, False]])
    """

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Unit vectors (3, h, w); zero where unknown."""
        if stored.ndim != 3 or stored.shape[2] != 3:
            raise UserError(f"{path}: normals should be an array (height, width, 3), not {stored.shape}")
        vectors = np.moveaxis(stored, 2, 0).astype(np.float32)
        if encoding := self.encoding(stored):
            black = (stored == 0).all(2)
            vectors = np.where(black, 0, (vectors - np.float32(encoding[0])) / np.float32(encoding[1]))
        with np.errstate(over="ignore", invalid="ignore"):
            length = np.sqrt((vectors * vectors).sum(0))
        wrong = length[~(length <= LONGEST)]
        if wrong.size:
            raise UserError(
                f"{path}: normals of length {wrong[0]:.3g} at {number_of(wrong.size, 'pixel')}, but they "
                "should be unit vectors "
                "with components from -1 to 1, (0, 0, 0) where unknown: replace the file"
            )
        valid = length > SHORTEST
        # a unit vector stays as it is to the last bit, and so does a converted set
        scale = np.where(np.abs(length - 1) <= 1e-6, 1, 1 / np.where(valid, length, 1)).astype(np.float32)
        return torch.from_numpy(vectors * np.where(valid, scale, np.float32(0))), torch.from_numpy(valid)
