"""A data set of which only some labels may be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.utils.data import Dataset

from mtpsl.data.autolabels import predicted_tasks
from mtpsl.data.base import LabelledDataset
from mtpsl.data.broken import MOST_IN_A_ROW, BrokenImages
from mtpsl.data.cache import SampleCache, packed_size
from mtpsl.data.own_size import OwnSizeLabels
from mtpsl.data.tables import StringTable
from mtpsl.errors import UserError
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
        cache: keep decoded samples in memory, packed without loss, without a bound; the worker processes of a loader
            share them. `keep_in` chooses another place and a bound.

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
        self.keys, self.shares, self.windows = StringTable(dataset.keys), dataset.shares, dataset.windows
        self._rows = torch.arange(len(dataset))
        self._cameras: dict[int, Tensor | None] = {}
        self._cache = SampleCache(len(dataset), [*self.tasks]) if cache else None
        self.broken: BrokenImages | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Sample:
        if self.broken is None:
            return self._sample(index)
        some = self._labelled(index)
        failure: UserError | None = None
        for place in range(index, index + min(len(self), MOST_IN_A_ROW)):
            other = place % len(self)
            if self._labelled(other) == some:
                try:
                    return self._sample(other)
                except UserError as error:
                    self.broken.add(self.keys[other], error)
                    failure = error
        raise UserError(f"{failure} (as are the images after it, so that --data.broken skip finds none to use)")

    def _labelled(self, index: int) -> bool:
        return bool(self.mask[index].any() or self.derived[index].any())

    def _sample(self, index: int) -> Sample:
        row = int(self._rows[index])
        sample = self._with_labels(index, row)
        if self.dataset.predicted is not None:
            seen = self.dataset.predicted[row] & self.mask[index]
            sample = replace(sample, predicted=predicted_tasks(self.tasks, seen))
        if not self.dataset.has_cameras:
            return sample
        if row not in self._cameras:
            self._cameras[row] = self.dataset.camera(row)
        return replace(sample, camera=self._cameras[row])

    def _with_labels(self, index: int, row: int) -> Sample:
        names = [name for name, allowed in zip(self.tasks, self.mask[index].tolist(), strict=True) if allowed]
        derived = [name for name, wanted in zip(self.tasks, self.derived[index].tolist(), strict=True) if wanted]
        if self._cache is not None and (kept := self._cache.get(row, self.keys[index], [*names, *derived], derived)):
            return kept
        sample = self.dataset.read(row, names)
        for name in derived:
            sample.targets[name], sample.valid[name] = self.dataset.derive(row, name)
        if self._cache is not None:
            self._cache.add(row, sample, derived)
        return sample

    def skip_broken(self, broken: BrokenImages) -> None:
        """From now on put the next readable image in the place of one that cannot be read, and list that.

        Batches stay full, and which image takes the place depends on the files alone. One with labels is replaced by
        one with labels.
        """
        self.broken = broken

    def keep_in(self, cache: SampleCache | None) -> None:
        """Keep samples in this cache from now on, or in none; it has a row per image of `dataset`."""
        self._cache = cache

    @property
    def shown(self) -> Bool[Tensor, "n k"]:
        """Which labels samples have: those that exist and may be seen, and those derived from such."""
        return self.mask | self.derived

    def image_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image; no label is read."""
        return self.dataset.image_size(int(self._rows[index]))

    def original_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image as it is stored, before it is resized."""
        return self.dataset.original_size(int(self._rows[index]))

    def subset(self, indices: Sequence[int]) -> PartialDataset:
        """The same data set with only some images, in the given order; the cache is shared.

        Those with a label are `partial.subset(partial.shown.any(1).nonzero().flatten().tolist())`.
        """
        part = PartialDataset.__new__(PartialDataset)
        part.dataset, part.name, part.tasks = self.dataset, self.name, self.tasks
        part._cameras = self._cameras
        part._cache, part.broken = self._cache, self.broken
        part.mask, part.derived = self.mask[list(indices)], self.derived[list(indices)]
        part.keys = StringTable(self.keys[index] for index in indices)
        part.shares = None if self.shares is None else self.shares.subset(indices)
        part.windows = None if self.windows is None else self.windows.subset(indices)
        part._rows = self._rows[list(indices)]
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

    @property
    def cached(self) -> int:
        """How many of the images are in the cache."""
        return 0 if self._cache is None else sum(map(self._cache.holds, self._rows.tolist()))

    @property
    def cached_bytes(self) -> int:
        """What the cache takes so far."""
        return 0 if self._cache is None else self._cache.store.used

    def estimate_bytes(self, count: int = 8) -> int:
        """What a cache of all images would take, judged by a few of them (of one shard), which are read."""
        some = self.spread(count) if self.windows is None else self.subset(range(min(count, len(self))))
        sizes = [packed_size(some[index]) for index in range(len(some))]
        return 0 if not sizes else sum(sizes) * len(self) // len(sizes)


def derivable(dataset: LabelledDataset, seen: Bool[Tensor, "n k"]) -> Bool[Tensor, "n k"]:
    """Which labels follow from those that may be seen."""
    if dataset.derived_from is None:
        return torch.zeros_like(seen)
    return (dataset.derived_from >= 0) & seen.gather(1, dataset.derived_from.clamp(min=0))


def scored_dataset(dataset: LabelledDataset, tasks: Sequence[str], *, cache: bool = True) -> PartialDataset:
    """The images of a data set with all labels of some tasks, to score predictions against.

    Only labels that exist are scored against; a task of which there is none at all is scored against derived ones.
    """
    labels = dict(zip(dataset.tasks, dataset.available.any(0).tolist(), strict=True))
    derive = [name for name in tasks if not labels[name]]
    return PartialDataset(dataset, dataset.available, tasks=tasks, derive=derive, cache=cache)
