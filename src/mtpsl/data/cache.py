"""Decoded samples kept in memory or on a local disk, as long as there is room."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from torch import Tensor

from mtpsl.data.compact import from_bytes, to_bytes
from mtpsl.data.free_memory import free_memory
from mtpsl.data.store import HEAD, Store
from mtpsl.structures import Sample


def third_of_free_memory(processes: int) -> int | None:
    """Bytes that each of several processes on a machine may fill with images: training needs the rest.

    None where the system does not say what is free.
    """
    free = free_memory(processes)
    return None if free is None else free // 3


class SampleCache:
    """The images and labels of a data set by row, packed without loss, each on its own.

    It is filled as images are read, by whichever process reads one first (the workers of a loader share it): nothing is
    read ahead. A label that was derived is kept apart from one that exists, and each under its task, so that runs with
    other label regimes can share a cache on disk: none gets a label that it did not ask for.

    Args:
        rows: how many images there are.
        tasks: their tasks.
        limit: the bytes that may be used; None for no bound.
        folder: where to keep them on disk; by default they are in memory.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, rows: int, tasks: Sequence[str], limit: int | None = None, folder: Path | None = None) -> None:
        self.tasks = {name: column for column, name in enumerate(tasks)}
        self._parts = 1 + 2 * len(self.tasks)
        self.store = Store(rows * self._parts, 2**62 if limit is None else limit, folder)

    def get(self, row: int, key: str, labels: Collection[str], derived: Collection[str]) -> Sample | None:
        """A copy of a sample with these labels; None where a part of it is not kept.

        Args:
            row: its number.
            key: its image's name.
            labels: the tasks of its labels.
            derived: the tasks of those that are derived.
        """
        if (image := self._read(row, 0)) is None:
            return None
        sample = Sample(key, image[0])
        for name in labels:
            if (label := self._read(row, self._part(name, name in derived))) is None:
                return None
            sample.targets[name], sample.valid[name] = label
        return sample

    def add(self, row: int, sample: Sample, derived: Collection[str]) -> None:
        """Keep a sample's parts that are not there yet, if there is room for them."""
        self._write(row, 0, [sample.image])
        for name, target in sample.targets.items():
            self._write(row, self._part(name, name in derived), [target, sample.valid[name]])

    def holds(self, row: int) -> bool:
        """Whether an image is kept."""
        return row * self._parts in self.store

    def _part(self, task: str, derived: bool) -> int:
        return 1 + 2 * self.tasks[task] + derived

    def _read(self, row: int, part: int) -> list[Tensor] | None:
        content = self.store.read(row * self._parts + part)
        return None if content is None else from_bytes(content)

    def _write(self, row: int, part: int, tensors: list[Tensor]) -> None:
        entry = row * self._parts + part
        if not self.store.full and self.store.read(entry) is None:
            self.store.write(entry, to_bytes(tensors))


def packed_size(sample: Sample) -> int:
    """Bytes that a sample takes."""
    parts = [[sample.image], *([target, sample.valid[name]] for name, target in sample.targets.items())]
    return sum(len(to_bytes(tensors)) + HEAD.size for tensors in parts)
