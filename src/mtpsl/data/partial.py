"""A data set of which only some labels may be seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.utils.data import Dataset

from mtpsl.data.base import LabelledDataset
from mtpsl.data.own_size import OwnSizeLabels
from mtpsl.structures import Sample


class PartialDataset(Dataset[Sample]):
    """The images of a data set with the labels that a mask allows; hidden labels are not read.

    Args:
        dataset: images and all labels that exist.
        mask: which labels may be used: an image per row, a task per column, as in `dataset.available`.
        cache: keep decoded samples in memory, packed without loss. Every worker process of a loader has its own copy,
            unless `preload` filled it before they were forked.

    Raises:
        ValueError: the mask has another shape, or allows a label that does not exist.
    """

    def __init__(self, dataset: LabelledDataset, mask: Bool[Tensor, "n k"], *, cache: bool = True) -> None:
        if mask.dtype != torch.bool or mask.shape != dataset.available.shape:
            shape = tuple(dataset.available.shape)
            raise ValueError(f"mask should be bool of shape {shape}, not {mask.dtype} of shape {tuple(mask.shape)}")
        if (mask & ~dataset.available).any():
            row, column = (mask & ~dataset.available).nonzero()[0].tolist()
            raise ValueError(f"mask allows {[*dataset.tasks][column]} of {dataset.keys[row]!r}, which does not exist")
        self.dataset, self.name, self.tasks = dataset, dataset.name, dataset.tasks
        self.mask, self.keys, self.shares = mask, list(dataset.keys), dataset.shares
        self._rows = list(range(len(dataset)))
        self._cache: dict[int, _Packed] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Sample:
        row = self._rows[index]
        if self._cache is not None and row in self._cache:
            return self._cache[row].unpack()
        names = [name for name, allowed in zip(self.tasks, self.mask[index].tolist(), strict=True) if allowed]
        sample = self.dataset.read(row, names)
        if self._cache is not None:
            self._cache[row] = _Packed(sample)
        return sample

    def image_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image; no label is read."""
        return self.dataset.image_size(self._rows[index])

    def original_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image as it is stored, before it is resized."""
        return self.dataset.original_size(self._rows[index])

    def subset(self, indices: Sequence[int]) -> PartialDataset:
        """The same data set with only some images, in the given order; the cache is shared.

        Those with a label are `partial.subset(partial.mask.any(1).nonzero().flatten().tolist())`.
        """
        part = PartialDataset.__new__(PartialDataset)
        part.dataset, part.name, part.tasks, part._cache = self.dataset, self.name, self.tasks, self._cache
        part.mask = self.mask[list(indices)]
        part.keys = [self.keys[index] for index in indices]
        part.shares = None if self.shares is None else self.shares.subset(indices)
        part._rows = [self._rows[index] for index in indices]
        return part

    def without_labels(self) -> PartialDataset:
        """The same images with every label hidden."""
        part = self.subset(range(len(self)))
        part.mask, part._cache = torch.zeros_like(self.mask), None  # what is cached has its labels
        return part

    @property
    def own_size(self) -> bool:
        """Whether labels have their own size, not their image's: `ScoredBatch` holds them."""
        return isinstance(self.dataset, OwnSizeLabels)

    def at_image_size(self) -> PartialDataset:
        """The same images with labels of their images' size, for pictures of both."""
        part = self.subset(range(len(self)))
        if isinstance(self.dataset, OwnSizeLabels):
            part.dataset, part._cache = self.dataset.sized, None
        return part

    def spread(self, count: int) -> PartialDataset:
        """At most `count` images, at even distances: neighbours are often alike, and merged sources lie one by one."""
        count = min(count, len(self))
        return self.subset([place * len(self) // count for place in range(count)])

    def preload(self) -> int:
        """Read every image now, so that a broken file shows before training; the bytes of the cache."""
        for index in range(len(self)):
            if self._cache is None or self._rows[index] not in self._cache:
                self[index]
        return self.cached_bytes

    @property
    def cached_bytes(self) -> int:
        """Memory that the cache takes so far."""
        return sum(packed.bytes for packed in (self._cache or {}).values())


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
