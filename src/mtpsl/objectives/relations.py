"""Which pairs of tasks are related, measured while the mapping is trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtpsl.objectives.distance import cosine_distance
from mtpsl.objectives.mapping.pairs import Pair, to_device
from mtpsl.processes import is_distributed, sum_over_processes

CLEAR = 0.4
"""Gain of the strongest pair from which on gains are compared."""


class PairRelations(nn.Module):
    """How much nearer a prediction is, in the joint space of its pair, to its own image's label than to another's.

    gain(s, t) = 1 - d(matched) / d(mismatched), d the mean distance between the mapped prediction of s and the mapped
    label of t, of the same image or of another one of the batch: near 0 where t's label says nothing about an image,
    near 1 where the joint space tells images apart. It needs no image with both labels and costs one distance between
    maps that exist anyway.

    A relation holds in both directions or in none: a joint space is one for both sides, and an unrelated task's own
    predictions still carry something of the image that they were made from.

    Args:
        num_tasks: the number of tasks.
        threshold: the smallest gain, in both directions, of a related pair, as a share of the strongest pair's.
        decay: how much of a pair's sums a batch with that pair leaves.
    """

    matched: Float[Tensor, "k k"]
    mismatched: Float[Tensor, "k k"]

    def __init__(self, num_tasks: int, *, threshold: float, decay: float = 0.98) -> None:
        super().__init__()
        self.threshold, self.decay = threshold, decay
        self.register_buffer("matched", torch.zeros(num_tasks, num_tasks))
        self.register_buffer("mismatched", torch.zeros(num_tasks, num_tasks))
        #: the pairs that were found related, on the CPU, where pairs are planned; None before `decide`
        self.related: Bool[Tensor, "k k"] | None = None

    def update(
        self, pairs: Sequence[Pair], source: Float[Tensor, "r d h w"], target: Float[Tensor, "r d h w"], matched: Tensor
    ) -> None:
        """Count a batch: the maps of both sides and their distances, pair by pair."""
        self.add(self.count_distances(pairs, source, target, matched))

    @torch.no_grad()
    def count_distances(
        self, pairs: Sequence[Pair], source: Float[Tensor, "r d h w"], target: Float[Tensor, "r d h w"], matched: Tensor
    ) -> Float[Tensor, "3 k k"] | None:
        """Of every pair, the sums of both distances and how many they are; None if no two images have a pair."""
        found = pair_with_other_images(pairs)
        if not found:
            return None
        places = [pairs[row].source * len(self.matched) + pairs[row].target for row in found]
        place, rows, partner = (to_device([*x], source.device) for x in (places, found, found.values()))
        distances = torch.stack([matched[rows], cosine_distance(source[rows], target[partner])]).float()
        good = distances.isfinite().all(0)  # one that is not would stay in the sums for good
        values = torch.where(good, torch.cat([distances, torch.ones_like(distances[:1])]), 0.0)
        return values.new_zeros(3, self.matched.numel()).index_add(1, place, values).view(3, *self.matched.shape)

    @torch.no_grad()
    def add(self, counted: Float[Tensor, "3 k k"] | None) -> None:
        """Add what was counted in every process, so that the sums are the same in all; all have to call it."""
        if counted is None and not is_distributed():
            return
        zeros = self.matched.new_zeros(3, *self.matched.shape)
        matched, mismatched, number = sum_over_processes(zeros if counted is None else counted)
        # distances shrink a hundredfold at first: count batches alike
        scale = number.sum() / mismatched.sum().clamp(min=1e-12)
        for sums, distances in ((self.matched, matched), (self.mismatched, mismatched)):
            sums.copy_(torch.where(number > 0, self.decay * sums + scale * distances, sums))  # others keep theirs

    def gain(self) -> Float[Tensor, "k k"]:
        """1 - d(matched) / d(mismatched), source by row and target by column; NaN where nothing was measured."""
        return 1 - self.matched / self.mismatched

    def decide(self) -> None:
        """Settle from now on which pairs are related, once the strongest relation is clear.

        Before that all gains are near zero and their differences noise. A pair that was never measured stays.
        """
        gain = self.gain().cpu()
        both = torch.fmin(gain, gain.T).fill_diagonal_(torch.nan)
        strongest = both.nan_to_num(nan=0.0).max()
        if strongest >= CLEAR:
            self.related = ~(both < self.threshold * strongest)

    def get_extra_state(self) -> Tensor:
        """The decision, which does not move to another device with the sums; empty before there is one."""
        return torch.zeros(0, 0, dtype=torch.bool) if self.related is None else self.related

    def set_extra_state(self, state: Tensor) -> None:
        """Continue with a checkpoint's decision."""
        self.related = state.cpu() if state.numel() else None


def pair_with_other_images(pairs: Sequence[Pair]) -> dict[int, int]:
    """The place of every pair whose tasks another image has, too, and the place of that image's pair.

    >>> pair_with_other_images([Pair(0, 0, 1), Pair(1, 0, 1), Pair(2, 1, 0)])
    {0: 1, 1: 0}
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for place, pair in enumerate(pairs):
        groups.setdefault((pair.source, pair.target), []).append(place)
    shared = [group for group in groups.values() if len(group) > 1]
    return {place: other for group in shared for place, other in zip(group, [*group[1:], group[0]], strict=True)}
