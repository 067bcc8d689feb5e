"""The order of images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Sampler

from mtpsl.data.shares import Shares
from mtpsl.data.windows import ShardWindows
from mtpsl.errors import UserError


class EpochSampler(Sampler[int]):
    """The order of images: a function of seed and epoch alone, shared out over processes.

    Args:
        count: how many images there are.
        shuffle: a new order each epoch, in which images are repeated so that all processes get equally many
            (training); without, every image goes to exactly one process and shares may differ by one (evaluation).
        seed: of the order.
        rank: which of the processes this one is.
        world_size: how many processes share the images.
        drop_last_to: cut the share of each process to a multiple of this (the batch size).
        shares: what part of an epoch comes from which source (with `shuffle`); by default every image is drawn once.
        windows: the shards of images that are read a few shards at a time (with `shuffle`).

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
        shares: Shares | None = None,
        windows: ShardWindows | None = None,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank should be from 0 to {world_size - 1}, not {rank}")
        self.count, self.shuffle, self.seed = count, shuffle, seed
        self.rank, self.world_size = rank, world_size
        self.shares, self.windows = shares, windows
        self.epoch, self.consumed = 0, 0
        self._length = -(-count // world_size) if shuffle else len(range(rank, count, world_size))
        if drop_last_to is not None:
            if self._length < drop_last_to:
                raise UserError(
                    f"{count} images over {world_size} processes do not fill one batch of {drop_last_to}: "
                    "lower the batch size or give more images"
                )
            self._length -= self._length % drop_last_to

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; one that `start` chose goes on from where it does."""
        if epoch != self.epoch:
            self.start(epoch)

    def start(self, epoch: int, consumed: int = 0) -> None:
        """Continue an epoch in the middle: its first images, as many of each process, were seen already.

        `len` stays that of the whole epoch. Another epoch starts with its first image.

        Args:
            epoch: whose order.
            consumed: images of this process that are left out.

        Raises:
            ValueError: this process has not so many.

        >>> sampler = EpochSampler(4, shuffle=False)
        >>> sampler.start(0, 3)
        >>> [*sampler]
        [3]
        """
        if not 0 <= consumed <= self._length:
            raise ValueError(f"consumed should be from 0 to {self._length}, not {consumed}")
        self.epoch, self.consumed = epoch, consumed

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        return iter(self.places()[self.rank, self.consumed :].tolist())

    def places(self) -> Int[Tensor, "w n"]:
        """The images of an epoch in the order of each process, as if every one had as many as this one."""
        order = torch.arange(self.count)
        if self.shuffle:
            state = np.random.SeedSequence([self.seed % 2**64, self.epoch]).generate_state(1, np.uint64)[0]
            generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
            if self.windows is not None:
                return self.windows.draw(generator, self.world_size, self._length)
            if self.shares is None:
                order = torch.randperm(self.count, generator=generator)
            else:
                order = self.shares.draw(generator)
        places = torch.arange(self._length) * self.world_size + torch.arange(self.world_size)[:, None]
        return order[places % max(self.count, 1)]
