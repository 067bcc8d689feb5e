"""Which part of an epoch's images comes from which source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from mtpsl.data.regimes import largest_remainder


@dataclass(frozen=True)
class Shares:
    """The source of every image and the share of each source in an epoch.

    Args:
        source: of every image, a number from 0.
        share: of every source; they need not add up to 1.
    """

    source: Int[Tensor, " n"]
    share: Sequence[float]

    def subset(self, indices: Sequence[int]) -> Shares:
        """The same for some of the images; a source without images has no share."""
        return Shares(self.source[list(indices)], self.share)

    def draw(self, generator: torch.Generator) -> Int[Tensor, " n"]:
        """As many images as there are, in random order, each source with its share (by largest remainder).

        An image is drawn twice only when all of its source have been drawn; those left out change from epoch to epoch.

        >>> shares = Shares(torch.tensor([0, 0, 0, 1, 1, 1, 1, 1]), [3, 1])
        >>> (shares.draw(torch.Generator().manual_seed(0)) < 3).sum()
        tensor(6)
        """
        members = [(self.source == number).nonzero()[:, 0] for number in range(len(self.share))]
        present = [(rows, share) for rows, share in zip(members, self.share, strict=True) if len(rows)]
        if not present:
            return torch.zeros(0, dtype=torch.long)
        drawn = []
        quotas = largest_remainder(len(self.source), [share for _, share in present])
        for (rows, _), quota in zip(present, quotas, strict=True):
            passes = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(-(-quota // len(rows)))]
            drawn.append(torch.cat([*passes, rows[:0]])[:quota])
        order = torch.cat(drawn)
        return order[torch.randperm(len(order), generator=generator)]
