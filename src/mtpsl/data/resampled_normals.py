"""Normals whose maps were made smaller by interpolation, as those of the preprocessed NYU-v2 sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mtpsl.data.formats import NormalsFormat
from mtpsl.data.label_format import Label
from mtpsl.errors import UserError

#: a vector as short as this has no direction: rounded zeros, or vectors that cancel out each other
SHORTEST = 0.1
#: interpolation only shortens, so a longer one is none of a normal
LONGEST = 1.1


@dataclass(frozen=True)
class ResampledNormalsFormat(NormalsFormat):
    """As `NormalsFormat`, but vectors may be shorter than 1; those of length 0.1 or less are unknown.

    An interpolated vector is shorter the more its neighbours differ (or are the zero vector of unknown pixels); it
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
                f"{path}: normals of length {wrong[0]:.3g} at {wrong.size} pixels, but they should be unit vectors "
                "with components from -1 to 1, (0, 0, 0) where unknown: replace the file"
            )
        valid = length > SHORTEST
        # a unit vector stays as it is to the last bit, and so does a converted set
        scale = np.where(np.abs(length - 1) <= 1e-6, 1, 1 / np.where(valid, length, 1)).astype(np.float32)
        return torch.from_numpy(vectors * np.where(valid, scale, np.float32(0))), torch.from_numpy(valid)
