"""The decoded predictions of one picture, put together block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtpsl.tasks import Task


class Prediction(dict[str, np.ndarray]):
    """What a network says of a picture, by task, each (h, w) or (h, w, c) with the picture's height and width.

    Classes are whole numbers, depth and regression are in the unit of the labels, normals are vectors of length 1,
    boundaries, saliency and the maps of multilabel are probabilities.

    Attributes:
        confidence: the probability of what was chosen, (h, w) from 0 to 1, by task; only where it was asked for, and
            only of tasks that choose (depth and normals have none).
    """

    def __init__(self, values: Mapping[str, np.ndarray], confidence: Mapping[str, np.ndarray]) -> None:
        super().__init__(values)
        self.confidence = dict(confidence)


class Canvas:
    """One task's prediction of one picture.

    Args:
        task: the task.
        size: the picture's height and width.
        confidence: keep the confidence, too.
    """

    def __init__(self, task: Task, size: tuple[int, int], *, confidence: bool = False) -> None:
        channels = task.target_spec.channels
        kind: Any = np.float32 if channels else np.uint8 if task.out_channels <= 256 else np.uint16
        self.task, self.size = task, size
        self.values = np.empty((*size, channels) if channels > 1 else size, kind)
        self.confidence: np.ndarray | None = None
        self.confident = confidence

    def put(self, raw: Float[Tensor, "1 c h w"], top: int = 0, left: int = 0) -> None:
        """Decode a block of raw predictions that begins at this row and column."""
        place = np.s_[top : top + raw.shape[-2], left : left + raw.shape[-1]]
        decoded = self.task.decode(raw)[0].cpu()
        if decoded.ndim == 3:
            decoded = decoded[0] if len(decoded) == 1 else decoded.permute(1, 2, 0)
        self.values[place] = decoded.numpy()
        found = self.task.confidence(raw) if self.confident else None
        if found is not None:
            if self.confidence is None:
                self.confidence = np.empty(self.size, np.float32)
            self.confidence[place] = found[0].cpu().numpy()

    def label(self) -> Tensor:
        """The prediction as a label of the picture would be."""
        if not self.task.target_spec.channels:
            return torch.from_numpy(self.values.astype(np.int64))
        values = torch.from_numpy(self.values)
        return values.permute(2, 0, 1).contiguous() if values.ndim == 3 else values[None]


class Miniature:
    """Raw predictions at the places of a much smaller picture's pixels."""

    def __init__(self, size: tuple[int, int], small: tuple[int, int]) -> None:
        self.places = [((torch.arange(new) + 0.5) * old / new).long() for old, new in zip(size, small, strict=True)]
        self.values: dict[str, Tensor] = {}

    def put(self, raw: Mapping[str, Tensor], top: int, left: int) -> None:
        """Take what is wanted of a block that begins at this row and column."""
        for name, block in raw.items():
            if name not in self.values:
                self.values[name] = torch.empty((block.shape[1], *(len(places) for places in self.places)))
            (y, rows), (x, columns) = (
                within(places, start, side)
                for places, start, side in zip(self.places, (top, left), block.shape[-2:], strict=True)
            )
            self.values[name][:, y[:, None], x] = block[0].cpu()[:, rows[:, None], columns]


def within(places: Tensor, start: int, length: int) -> Sequence[Tensor]:
    """Which of the places lie in a block, and where in it."""
    chosen = ((places >= start) & (places < start + length)).nonzero()[:, 0]
    return chosen, places[chosen] - start
