"""Decoded samples kept in memory, as long as there is room."""

from __future__ import annotations

import torch
from torch import Tensor

from mtpsl.data.free_memory import free_memory
from mtpsl.structures import Sample


class Room:
    """Memory that several caches share.

    Args:
        size: in bytes; without it there is no bound.

    >>> room = Room(10)
    >>> room.reserve(8), room.reserve(3), room.reserve(1)
    (True, False, False)
    """

    def __init__(self, size: int | None = None) -> None:
        self.size, self.used, self.full = size, 0, False

    def reserve(self, size: int) -> bool:
        """Whether so many bytes fit; once something did not, nothing does: no growth in training."""
        self.full = self.full or (self.size is not None and self.used + size > self.size)
        if not self.full:
            self.used += size
        return not self.full


def third_of_free_memory(processes: int) -> Room:
    """The room for images that each of several processes on a machine may fill: training needs the rest."""
    free = free_memory(processes)
    return Room(None if free is None else free // 3)


class SampleCache:
    """Samples by row, packed without loss."""

    def __init__(self, room: Room) -> None:
        self.room, self.used = room, 0
        self._samples: dict[int, _Packed] = {}

    def __contains__(self, row: int) -> bool:
        return row in self._samples

    def get(self, row: int) -> Sample | None:
        """A copy of a sample; None if it is not kept."""
        return self._samples[row].unpack() if row in self._samples else None

    def add(self, row: int, sample: Sample) -> None:
        """Keep a sample if there is room for it."""
        if self.room.full:
            return
        packed = _Packed(sample)
        if self.room.reserve(packed.bytes):
            self._samples[row] = packed
            self.used += packed.bytes


class _Packed:
    """A sample whose tensors take one byte per value where that loses nothing."""

    def __init__(self, sample: Sample) -> None:
        self.key = sample.key
        self.image = _pack(sample.image)
        self.targets = {name: _pack(target) for name, target in sample.targets.items()}
        self.valid = {name: valid.clone() for name, valid in sample.valid.items()}

    def unpack(self) -> Sample:
        targets = {name: _unpack(*packed) for name, packed in self.targets.items()}
        valid = {name: valid.clone() for name, valid in self.valid.items()}
        return Sample(self.key, _unpack(*self.image), targets, valid)

    @property
    def bytes(self) -> int:
        tensors = [self.image[0], *(packed[0] for packed in self.targets.values()), *self.valid.values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _pack(x: Tensor) -> tuple[Tensor, torch.dtype, int]:
    # a picture holds multiples of 1/255, labels of classes or boundaries whole numbers
    for scale in (255, 1) if x.is_floating_point() else (1,):
        packed = (x * scale).round().clamp(0, 255).to(torch.uint8) if x.is_floating_point() else x.to(torch.uint8)
        if torch.equal(_unpack(packed, x.dtype, scale), x):
            return packed, x.dtype, scale
    return x.clone(), x.dtype, 1


def _unpack(packed: Tensor, dtype: torch.dtype, scale: int) -> Tensor:
    x = packed.clone() if packed.dtype == dtype else packed.to(dtype)
    return x if scale == 1 else x.div_(scale)
