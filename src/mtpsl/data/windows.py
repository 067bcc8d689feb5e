"""The order of images that lie in shards: shuffled within a window of a few shards at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class ShardWindows:
    """In which shard every image lies, and among how many shards the images of an epoch are shuffled.

    Args:
        shard: of every image, a number from 0.
        window: how many shards are read at a time.
    """

    shard: Int[Tensor, " n"]
    window: int

    def subset(self, indices: Sequence[int]) -> ShardWindows:
        """The same for some of the images."""
        return ShardWindows(self.shard[list(indices)], self.window)

    def draw(self, generator: torch.Generator, world_size: int, length: int) -> Int[Tensor, "w m"]:
        """An order of images for each process, whose shards no other one reads, but for those at the borders.

        Shards are put into random order and dealt to the processes one after another; of its shards each takes `window`
        at a time, whose images it reads in random order before it goes on to the next ones.

        Args:
            generator: of random numbers.
            world_size: how many processes there are.
            length: images of each; those of all processes together may be fewer than there are, or a few more, which
                are then images that come twice.

        >>> windows = ShardWindows(torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]), window=2)
        >>> order = windows.draw(torch.Generator().manual_seed(0), world_size=2, length=6)
        >>> first, second = (windows.shard[row].unique().tolist() for row in order)
        >>> len(first), sorted(first + second)
        (2, [0, 1, 2, 3])
        """
        shards, number = self.shard.unique(return_inverse=True)
        place = torch.randperm(len(shards), generator=generator)[number]
        one_by_one = place.argsort(stable=True)
        dealt = one_by_one[torch.arange(world_size * length) % max(len(number), 1)].view(world_size, length)
        begins = place[dealt].diff(dim=1, prepend=place[dealt][:, :1]) != 0
        group = begins.cumsum(1) // self.window
        mixed = torch.rand(dealt.shape, generator=generator, dtype=torch.float64)
        return dealt.gather(1, (group + mixed).argsort(dim=1, stable=True))
