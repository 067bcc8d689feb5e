"""A data set of which only some labels may be seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.utils.data import Dataset

from mtpsl.data.base import LabelledDataset
from mtpsl.data.cache import Room, SampleCache
from mtpsl.data.own_size import OwnSizeLabels
from mtpsl.structures import Sample


class PartialDataset(Dataset[Sample]):
    """The images of a data set with the labels that a mask allows; hidden labels are not read.

    Args:
        dataset: images and all labels that exist.
        mask: which labels may be used: an image per row, a task per column, as in `dataset.available`.
        cache: keep decoded samples in memory, packed without loss. Every worker process of a loader has its own copy,
            unless `preload` filled it before they were forked.
        room: the memory that the cache may take, perhaps shared with others; by default there is no bound. Images for
            which it has no room are read each time.

    Raises:
        ValueError: the mask has another shape, or allows a label that does not exist.
    """

    def __init__(
        self, dataset: LabelledDataset, mask: Bool[Tensor, "n k"], *, cache: bool = True, room: Room | None = None
    ) -> None:
        if mask.dtype != torch.bool or mask.shape != dataset.available.shape:
            shape = tuple(dataset.available.shape)
            raise ValueError(f"mask should be bool of shape {shape}, not {mask.dtype} of shape {tuple(mask.shape)}")
        if (mask & ~dataset.available).any():
            row, column = (mask & ~dataset.available).nonzero()[0].tolist()
            raise ValueError(f"mask allows {[*dataset.tasks][column]} of {dataset.keys[row]!r}, which does not exist")
        self.dataset, self.name, self.tasks = dataset, dataset.name, dataset.tasks
        self.mask, self.keys, self.shares = mask, list(dataset.keys), dataset.shares
        self._rows = list(range(len(dataset)))
        self._cache = SampleCache(room or Room()) if cache else None

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Sample:
        row = self._rows[index]
        if self._cache is not None and (kept := self._cache.get(row)):
            return kept
        names = [name for name, allowed in zip(self.tasks, self.mask[index].tolist(), strict=True) if allowed]
        sample = self.dataset.read(row, names)
        if self._cache is not None:
            self._cache.keep(row, sample)
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
        """Read images now, so that a broken file shows before training, until the cache is full; the cache's bytes."""
        return sum(0 for _ in self.read_ahead()) + self.cached_bytes

    def read_ahead(self) -> Iterator[None]:
        """`preload`, an image a step."""
        for index, row in enumerate(self._rows):
            if self._cache is not None and self._cache.room.full:
                return
            if self._cache is None or row not in self._cache:
                self[index]
            yield

    @property
    def cached(self) -> int:
        """How many of the images are in the cache."""
        return 0 if self._cache is None else sum(row in self._cache for row in self._rows)

    @property
    def cached_bytes(self) -> int:
        """Memory that the cache takes so far."""
        return 0 if self._cache is None else self._cache.used
