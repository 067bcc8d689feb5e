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
    """The images of a data set with the labels that a mask allows and those that follow from them.

    A hidden label is not read, and nothing is derived from it: what follows from what (`dataset.derived_from`) is
    applied to the labels that the mask leaves. A label that the mask leaves goes before a derived one. Derived labels
    are computed once, where there is a cache.

    Args:
        dataset: images and all labels that exist.
        mask: which labels may be used: an image per row, a task per column, as in `dataset.available`.
        tasks: names of the tasks to show labels of; by default all. From the labels of others those of these are
            derived all the same.
        derive: names of the tasks whose labels are derived; by default all that follow from another one.
        cache: keep decoded samples in memory, packed without loss. Every worker process of a loader has its own copy,
            unless `read_ahead` filled it before they were forked.
        room: the memory that the cache may take, perhaps shared with others; by default there is no bound. Images for
            which it has no room are read each time.

    Raises:
        ValueError: the mask has another shape, or allows a label that does not exist.
    """

    def __init__(
        self,
        dataset: LabelledDataset,
        mask: Bool[Tensor, "n k"],
        *,
        tasks: Sequence[str] | None = None,
        derive: Sequence[str] | None = None,
        cache: bool = True,
        room: Room | None = None,
    ) -> None:
        if mask.dtype != torch.bool or mask.shape != dataset.available.shape:
            shape = tuple(dataset.available.shape)
            raise ValueError(f"mask should be bool of shape {shape}, not {mask.dtype} of shape {tuple(mask.shape)}")
        if (mask & ~dataset.available).any():
            row, column = (mask & ~dataset.available).nonzero()[0].tolist()
            raise ValueError(f"mask allows {[*dataset.tasks][column]} of {dataset.keys[row]!r}, which does not exist")
        self.dataset, self.name, self.tasks = dataset, dataset.name, dataset.tasks
        wanted = torch.tensor([tasks is None or name in tasks for name in dataset.tasks], dtype=torch.bool)
        derived = torch.tensor([derive is None or name in derive for name in dataset.tasks], dtype=torch.bool)
        self.mask, self.derived = mask & wanted, derivable(dataset, mask) & ~mask & wanted & derived
        self.keys, self.shares = list(dataset.keys), dataset.shares
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
        for name, wanted in zip(self.tasks, self.derived[index].tolist(), strict=True):
            if wanted:
                sample.targets[name], sample.valid[name] = self.dataset.derive(row, name)
        if self._cache is not None:
            self._cache.add(row, sample)
        return sample

    @property
    def shown(self) -> Bool[Tensor, "n k"]:
        """Which labels samples have: those that exist and may be seen, and those derived from such."""
        return self.mask | self.derived

    def image_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image; no label is read."""
        return self.dataset.image_size(self._rows[index])

    def original_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image as it is stored, before it is resized."""
        return self.dataset.original_size(self._rows[index])

    def subset(self, indices: Sequence[int]) -> PartialDataset:
        """The same data set with only some images, in the given order; the cache is shared.

        Those with a label are `partial.subset(partial.shown.any(1).nonzero().flatten().tolist())`.
        """
        part = PartialDataset.__new__(PartialDataset)
        part.dataset, part.name, part.tasks, part._cache = self.dataset, self.name, self.tasks, self._cache
        part.mask, part.derived = self.mask[list(indices)], self.derived[list(indices)]
        part.keys = [self.keys[index] for index in indices]
        part.shares = None if self.shares is None else self.shares.subset(indices)
        part._rows = [self._rows[index] for index in indices]
        return part

    def without_labels(self) -> PartialDataset:
        """The same images with every label hidden."""
        part = self.subset(range(len(self)))
        part.mask = part.derived = torch.zeros_like(self.mask)
        part._cache = None  # what is cached has its labels
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
        """At most `count` images, at even distances: neighbors are often alike, and merged sources lie one by one."""
        count = min(count, len(self))
        return self.subset([place * len(self) // count for place in range(count)])

    def read_ahead(self) -> Iterator[None]:
        """Read images now, one a step, until the cache is full: a broken file shows before training."""
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


def derivable(dataset: LabelledDataset, seen: Bool[Tensor, "n k"]) -> Bool[Tensor, "n k"]:
    """Which labels follow from those that may be seen."""
    if dataset.derived_from is None:
        return torch.zeros_like(seen)
    return (dataset.derived_from >= 0) & seen.gather(1, dataset.derived_from.clamp(min=0))


def scored_dataset(
    dataset: LabelledDataset, tasks: Sequence[str], *, cache: bool = True, room: Room | None = None
) -> PartialDataset:
    """The images of a data set with all labels of some tasks, to score predictions against.

    Only labels that exist are scored against; a task of which there is none at all is scored against derived ones.
    """
    labels = dict(zip(dataset.tasks, dataset.available.any(0).tolist(), strict=True))
    derive = [name for name in tasks if not labels[name]]
    return PartialDataset(dataset, dataset.available, tasks=tasks, derive=derive, cache=cache, room=room)
