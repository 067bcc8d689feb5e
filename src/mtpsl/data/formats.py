"""How each type of label is stored in a file, and how it becomes a target with its valid pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.arrays import any_covered
from mtpsl.data.label_format import (
    Given,
    Label,
    LabelFormat,
    Resized,
    integers,
    is_integer,
    plane,
    positive,
    whole_numbers,
)
from mtpsl.errors import UserError
from mtpsl.tasks import Depth, Edges, Normals, Segmentation, Task


@dataclass(frozen=True)
class SegmentationFormat(LabelFormat):
    """A class index per pixel.

    Args:
        classes: names of the classes, or their number.
        ignore: stored numbers that mean "unlabelled".
        colors: an RGB triple from 0 to 255 per class.
    """

    classes: Given
    ignore: Given = ()
    colors: Given = None
    palette: ClassVar[bool] = True
    kind: ClassVar[str] = "segmentation"

    def __post_init__(self) -> None:
        named = isinstance(self.classes, list | tuple) and all(isinstance(name, str) for name in self.classes)
        if not (named or is_integer(self.classes)):
            raise ValueError(f"`classes` should be a number or a list of names (quote yes, no, on), not {self.classes}")
        if named and len({*self.classes}) != len(self.classes):
            raise ValueError("`classes` should not name a class twice")
        if self.num_classes < 2:
            raise ValueError(f"`classes` should be at least 2, not {self.num_classes}")
        integers("ignore", self.ignore)
        if self.colors is not None and not (
            isinstance(self.colors, list | tuple)
            and len(self.colors) == self.num_classes
            and all(isinstance(color, list | tuple) and len(color) == 3 for color in self.colors)
            and all(is_integer(part) and 0 <= part <= 255 for color in self.colors for part in color)
        ):
            raise ValueError(
                f"`colors` should be {self.num_classes} triples [r, g, b] from 0 to 255, not {self.colors}"
            )

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    def task(self, name: str) -> Task:
        """Semantic segmentation."""
        names = None if isinstance(self.classes, int) else self.classes
        return Segmentation(name, num_classes=self.num_classes, class_names=names, colors=self.colors)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Class indices (h, w); 0 where ignored."""
        index = whole_numbers(stored, path)
        ignore = integers("ignore", self.ignore)
        valid = np.ones(index.shape, bool)
        for value in ignore:
            valid &= index != value
        wrong = index[valid & ((index < 0) | (index >= self.num_classes))]
        if wrong.size:
            raise UserError(
                f"{path}: class index {wrong[0]} at {wrong.size} pixels, but classes go from 0 to "
                f"{self.num_classes - 1} and `ignore` is {ignore}: correct the file, or these two in dataset.yaml"
            )
        return torch.from_numpy(np.where(valid, index, 0)), torch.from_numpy(valid)


@dataclass(frozen=True)
class DepthFormat(LabelFormat):
    """A depth per pixel: stored value times `scale`.

    Args:
        scale: the unit of a stored 1.
        missing: stored numbers that mean "unknown"; may contain nan.
        unit: the unit after scaling.
    """

    scale: Given = 1.0
    missing: Given = 0.0
    unit: Given = "m"
    kind: ClassVar[str] = "depth"

    def __post_init__(self) -> None:
        positive("scale", self.scale)
        self._missing()
        if not isinstance(self.unit, str):
            raise ValueError(f"`unit` should be a text such as m, not {self.unit}")

    def _missing(self) -> list[float]:
        values = self.missing if isinstance(self.missing, list | tuple) else [self.missing]
        try:
            return [float("x" if isinstance(value, bool) else value) for value in values]
        except (TypeError, ValueError):
            raise ValueError(f"`missing` should be a number, nan or a list of them, not {self.missing}") from None

    def task(self, name: str) -> Task:
        """Depth."""
        return Depth(name, unit=self.unit)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Depth (1, h, w); 0 where missing."""
        stored = plane(stored, path)
        valid = np.ones(stored.shape, bool)
        for value in self._missing():
            valid &= ~np.isnan(stored) if math.isnan(value) else stored != value
        with np.errstate(over="ignore", invalid="ignore"):
            depth = (np.where(valid, stored, 0).astype(np.float64) * self.scale).astype(np.float32)
        wrong = stored[~(np.isfinite(depth) & (depth >= 0))]
        if wrong.size:
            raise UserError(
                f"{path}: depth {wrong[0]} at {wrong.size} pixels, but depth should be finite and not negative: "
                f"correct the file, or name the value in `missing` in dataset.yaml"
            )
        return torch.from_numpy(depth)[None], torch.from_numpy(valid)


@dataclass(frozen=True)
class NormalsFormat(LabelFormat):
    """A unit vector per pixel: (stored - offset) / divisor in a PNG, the vector itself in an npy file.

    The vector whose stored or decoded components are all zero means "unknown". The defaults are the usual
    2 v / 255 - 1.

    Args:
        offset: the stored number of a zero component.
        divisor: how many steps a component of 1 is above it.
    """

    offset: Given = 127.5
    divisor: Given = 127.5
    kind: ClassVar[str] = "normals"

    def __post_init__(self) -> None:
        positive("offset", self.offset)
        positive("divisor", self.divisor)

    def task(self, name: str) -> Task:
        """Surface normals."""
        return Normals(name)

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
        if path.suffix.lower() == ".png":
            x, y, z = vectors = (vectors - np.float32(self.offset)) / np.float32(self.divisor)
            # rounding moves each component by at most half a step
            tolerance, shortest = 0.05 + math.sqrt(3) / 2 / self.divisor, 1 / self.divisor
        with np.errstate(over="ignore", invalid="ignore"):
            length = np.sqrt(x * x + y * y + z * z)
        missing |= length <= shortest
        wrong = length[~missing & ~(np.abs(length - 1) <= tolerance)]
        if wrong.size:
            raise UserError(
                f"{path}: normals of length {wrong[0]:.3g} at {wrong.size} pixels, but their length should be 1 "
                "(within 5 %): correct `offset` and `divisor` in dataset.yaml, or store unit vectors, and (0, 0, 0) "
                "where unknown"
            )
        unit = vectors * np.where(missing, 0, 1 / np.where(missing, 1, length))
        return torch.from_numpy(unit), torch.from_numpy(~missing)


@dataclass(frozen=True)
class EdgesFormat(LabelFormat):
    """1 on a boundary, 0 elsewhere.

    Args:
        ignore: stored numbers that mean "unknown".
    """

    ignore: Given = ()
    palette: ClassVar[bool] = True
    kind: ClassVar[str] = "edges"

    def __post_init__(self) -> None:
        if {0, 1} & {*integers("ignore", self.ignore)}:
            raise ValueError(f"`ignore` should not contain 0 or 1, not {self.ignore}")

    def task(self, name: str) -> Task:
        """Boundaries."""
        return Edges(name)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """0 or 1 (1, h, w); 0 where ignored."""
        value = whole_numbers(stored, path)
        ignore = integers("ignore", self.ignore)
        valid = (value == 0) | (value == 1)
        wrong = value[~valid & ~np.isin(value, ignore)]
        if wrong.size:
            raise UserError(
                f"{path}: value {wrong[0]} at {wrong.size} pixels, but edges should be 0, 1 (a boundary) or one of "
                f"`ignore` {ignore}: store boundaries as 1, or add the value to `ignore` in dataset.yaml"
            )
        return torch.from_numpy(np.where(valid, value, 0)).float()[None], torch.from_numpy(valid)

    def resize(self, target: Tensor, valid: Bool[Tensor, "h w"], size: tuple[int, int]) -> Resized:
        """Keep thin lines: a pixel is a boundary if it covers one, else unknown if it covers an unknown one."""
        edge = any_covered(target > 0, size)
        unknown = any_covered(~valid[None], size)
        return edge.float(), (edge | ~unknown)[0]


FORMATS: dict[str, type[LabelFormat]] = {
    "segmentation": SegmentationFormat,
    "depth": DepthFormat,
    "normals": NormalsFormat,
    "edges": EdgesFormat,
}
