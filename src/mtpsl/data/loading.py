"""From samples to batches."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mtpsl.data.labelled_batches import LabelledBatches
from mtpsl.data.sampler import EpochSampler
from mtpsl.errors import DataError, UserError
from mtpsl.structures import Batch, Sample, ScoredBatch, TargetSpec

PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent dies."""


def make_loader(
    dataset: Dataset[Sample],
    specs: Mapping[str, TargetSpec],
    *,
    batch_size: int,
    shuffle: bool,
    seed: int = 0,
    workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    drop_last: bool = False,
    pin_memory: bool = False,
    labelled: Bool[Tensor, " n"] | None = None,
) -> BatchLoader:
    """A loader of batches; call `loader.set_epoch(epoch)` before each epoch (Lightning does the same).

    Args:
        dataset: with a length; a sample per index; its `shares` or `windows`, if it has any, decide what is drawn in
            training; where its labels have their `own_size`, batches are `ScoredBatch`.
        specs: the tasks of a batch and the form of their labels.
        batch_size: images per batch and process.
        shuffle: draw a new order each epoch and give every process equally many images (training); otherwise keep the
            order and give every image to one process only (evaluation).
        seed: of the order.
        workers: processes that read images, kept from epoch to epoch.
        rank: which of the training processes this one is.
        world_size: how many training processes there are.
        drop_last: leave out the last batch if it is smaller.
        pin_memory: collate into page-locked memory, if there is an accelerator.
        labelled: which images have a label: batches without any are passed over in training (`LabelledBatches`).

    Raises:
        UserError: `drop_last` leaves no batch; while iterating, a `DataError`: a file is wrong (also when a worker read
            it), or images of a batch differ in size.
    """
    sampler = EpochSampler(
        len(dataset),  # type: ignore[arg-type]
        shuffle=shuffle,
        seed=seed,
        rank=rank,
        world_size=world_size,
        drop_last_to=batch_size if drop_last else None,
        shares=getattr(dataset, "shares", None) if shuffle else None,
        windows=getattr(dataset, "windows", None) if shuffle else None,
    )
    some = shuffle and labelled is not None and not bool(labelled.all())
    batches = LabelledBatches(sampler, batch_size, labelled) if some and labelled is not None else None
    return BatchLoader(
        _Reporting(dataset),
        **({"batch_size": batch_size, "sampler": sampler} if batches is None else {"batch_sampler": batches}),
        num_workers=workers,
        worker_init_fn=_leave_signals_to_parent,
        collate_fn=partial(_collate, specs=None if getattr(dataset, "own_size", False) else dict(specs)),
        pin_memory=pin_memory and torch.accelerator.is_available(),
        persistent_workers=workers > 0,
        # otherwise each epoch would advance the global generator
        generator=torch.Generator().manual_seed(seed),
    )


class BatchLoader(DataLoader[Batch]):
    """A loader that raises errors of a user or of the system as they were, without a worker's traceback."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; one that `start` chose goes on from where it does."""
        self._chooser.set_epoch(epoch)

    def start(self, epoch: int, batches: int = 0) -> None:
        """Continue an epoch in the middle: so many of its batches were given already.

        What is left comes in the very batches of the whole epoch, of which nothing is read. `len` stays that of the
        whole epoch; the next one starts with its first batch.

        Raises:
            ValueError: the epoch has not so many batches.
        """
        if not 0 <= batches <= len(self):
            raise ValueError(f"batches should be from 0 to {len(self)}, not {batches}")
        if isinstance(chooser := self._chooser, LabelledBatches):
            chooser.start(epoch, batches)
        else:  # the last batch may hold fewer images
            chooser.start(epoch, min(batches * (self.batch_size or 1), len(chooser)))

    @property
    def _chooser(self) -> LabelledBatches | EpochSampler:
        chooser = self.batch_sampler if isinstance(self.batch_sampler, LabelledBatches) else self.sampler
        assert isinstance(chooser, LabelledBatches | EpochSampler)
        return chooser

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for batch in super().__iter__():
            # a new one: its own frame referring to it would keep the workers alive until garbage is collected
            if isinstance(batch, OSError):
                raise OSError(batch.errno, batch.strerror, batch.filename)
            if isinstance(batch, UserError):
                raise DataError(str(batch))
            yield batch


def _leave_signals_to_parent(worker: int) -> None:
    """Read on when a whole group of processes is asked to end: the one that trains finishes its step, then ends all."""
    for name in ("SIGTERM", "SIGUSR1"):
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    if sys.platform.startswith("linux"):  # one that hangs in a file would outlive a killed parent
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class _Reporting(Dataset[Any]):
    """Returns an error of a user or of the system instead of raising it: a worker would wrap it into pages of text."""

    def __init__(self, dataset: Dataset[Sample]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample | UserError | OSError:
        try:
            return self.dataset[index]
        except (UserError, OSError) as error:
            return error


def _collate(
    samples: Sequence[Sample | UserError | OSError], specs: Mapping[str, TargetSpec] | None
) -> Batch | ScoredBatch | UserError | OSError:
    good: list[Sample] = []
    for sample in samples:
        if isinstance(sample, UserError | OSError):
            return sample
        good.append(sample)
    sizes = {tuple(sample.image.shape[-2:]): sample.key for sample in good}
    if len(sizes) > 1:
        (a, key_a), (b, key_b) = [*sizes.items()][:2]
        return UserError(
            f"images of a batch should have one size, not {a[0]}x{a[1]} ({key_a}) and {b[0]}x{b[1]} ({key_b}): "
            "give a size (height, width) to resize to"
        )
    return ScoredBatch.collate(good) if specs is None else Batch.collate(good, specs)
