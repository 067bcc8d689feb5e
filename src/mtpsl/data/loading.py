"""From samples to batches: the order of images and the loader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from mtpsl.data.shares import Shares
from mtpsl.errors import UserError
from mtpsl.structures import Batch, Sample, TargetSpec


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
) -> DataLoader[Batch]:
    """A loader of batches; call `loader.sampler.set_epoch(epoch)` before each epoch (Lightning does).

    Args:
        dataset: with a length; a sample per index; its `shares`, if it has any, decide what is drawn in training.
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

    Raises:
        UserError: `drop_last` leaves no batch; while iterating: a file is wrong (also when a worker read it), or images
            of a batch differ in size.
    """
    sampler = EpochSampler(
        len(dataset),  # type: ignore[arg-type]
        shuffle=shuffle,
        seed=seed,
        rank=rank,
        world_size=world_size,
        drop_last_to=batch_size if drop_last else None,
        shares=getattr(dataset, "shares", None) if shuffle else None,
    )
    return BatchLoader(
        _Reporting(dataset),
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=partial(_collate, specs=dict(specs)),
        pin_memory=pin_memory and torch.accelerator.is_available(),
        persistent_workers=workers > 0,
        # otherwise each epoch would advance the global generator
        generator=torch.Generator().manual_seed(seed),
    )


class EpochSampler(Sampler[int]):
    """The order of images: a function of seed and epoch alone, shared out over processes.

    Args:
        count: how many images there are.
        shuffle: a new order each epoch.
        seed: of the order.
        rank: which of the processes this one is.
        world_size: how many processes share the images.
        drop_last_to: cut the share of each process to a multiple of this (the batch size).
        pad: repeat images so that all processes get equally many (by default when shuffling: training); without, every
            image goes to exactly one process and shares may differ by one (evaluation).
        shares: what part of an epoch comes from which source (with `shuffle`); by default every image is drawn once.

    Raises:
        UserError: `drop_last_to` leaves nothing.
    """

    def __init__(
        self,
        count: int,
        *,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        drop_last_to: int | None = None,
        pad: bool | None = None,
        shares: Shares | None = None,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank should be from 0 to {world_size - 1}, not {rank}")
        self.count, self.shuffle, self.seed = count, shuffle, seed
        self.rank, self.world_size, self.shares = rank, world_size, shares
        self.epoch = 0
        self._length = (
            -(-count // world_size) if (shuffle if pad is None else pad) else len(range(rank, count, world_size))
        )
        if drop_last_to is not None:
            if self._length < drop_last_to:
                raise UserError(
                    f"{count} images over {world_size} processes do not fill one batch of {drop_last_to}: "
                    "lower the batch size or give more images"
                )
            self._length -= self._length % drop_last_to

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        order = torch.arange(self.count)
        if self.shuffle:
            state = np.random.SeedSequence([self.seed % 2**64, self.epoch]).generate_state(1, np.uint64)[0]
            generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
            if self.shares is None:
                order = torch.randperm(self.count, generator=generator)
            else:
                order = self.shares.draw(generator)
        places = torch.arange(self._length) * self.world_size + self.rank
        return iter(order[places % max(self.count, 1)].tolist())


class BatchLoader(DataLoader[Batch]):
    """A loader that raises a user's error as it was, without the traceback of the worker process."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                # a new one: its own frame referring to it would keep the workers alive until garbage is collected
                raise UserError(str(batch))
            yield batch


class _Reporting(Dataset[Any]):
    """Returns a user's error instead of raising it: a worker would wrap it into pages of text."""

    def __init__(self, dataset: Dataset[Sample]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample | UserError:
        try:
            return self.dataset[index]
        except UserError as error:
            return error


def _collate(samples: Sequence[Sample | UserError], specs: Mapping[str, TargetSpec]) -> Batch | UserError:
    good: list[Sample] = []
    for sample in samples:
        if isinstance(sample, UserError):
            return sample
        good.append(sample)
    sizes = {tuple(sample.image.shape[-2:]): sample.key for sample in good}
    if len(sizes) > 1:
        (a, key_a), (b, key_b) = [*sizes.items()][:2]
        return UserError(
            f"images of a batch should have one size, not {a[0]}x{a[1]} ({key_a}) and {b[0]}x{b[1]} ({key_b}): "
            "give a size (height, width) to resize to"
        )
    return Batch.collate(good, specs)
