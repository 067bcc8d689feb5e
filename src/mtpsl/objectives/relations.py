"""Which pairs of tasks are related, measured while the mapping is trained."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mtpsl.objectives.mapping import cosine_distance
from mtpsl.objectives.pairs import PairPlan, on_device
from mtpsl.processes import sum_over_processes

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

    @torch.no_grad()
    def update(
        self, plan: PairPlan, source: Float[Tensor, "r d h w"], target: Float[Tensor, "r d h w"], matched: Tensor
    ) -> None:
        """Count a batch: the maps of both sides and their distances, row by row of the plan."""
        rows, partner = other_images(plan)
        if not len(rows):
            return
        places = (plan.source * len(self.matched) + plan.target)[rows]
        seen, place, rows, partner = (on_device(x, source.device) for x in (places.unique(), places, rows, partner))
        mismatched = cosine_distance(source[rows], target[partner])
        scale = 1 / mismatched.mean().clamp(min=1e-12)  # distances shrink a hundredfold at first: count batches alike
        for sums, distances in ((self.matched, matched[rows]), (self.mismatched, mismatched)):
            sums.view(-1)[seen] *= self.decay  # others keep theirs, however long a pair is not seen
            sums.view(-1).index_add_(0, place, distances.float() * scale)

    def gain(self) -> Float[Tensor, "k k"]:
        """1 - d(matched) / d(mismatched), source by row and target by column; NaN where nothing was measured."""
        return 1 - self.matched / self.mismatched

    def decide(self) -> None:
        """Settle from now on which pairs are related, once the strongest relation is clear.

        Before that all gains are near zero and their differences noise. A pair that was never measured stays.
        """
        matched, mismatched = sum_over_processes(torch.stack([self.matched, self.mismatched]))
        gain = (1 - matched / mismatched).cpu()
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


def other_images(plan: PairPlan) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
    """Rows whose pair another image has, too, and the row of that image.

    >>> other_images(PairPlan(torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]), torch.tensor([1, 1, 0])))
    (tensor([0, 1]), tensor([1, 0]))
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for row, pair in enumerate(zip(plan.source.tolist(), plan.target.tolist(), strict=True)):
        groups.setdefault(pair, []).append(row)
    rows = [row for group in groups.values() if len(group) > 1 for row in group]
    partners = [row for group in groups.values() if len(group) > 1 for row in [*group[1:], group[0]]]
    return torch.tensor(rows, dtype=torch.long), torch.tensor(partners, dtype=torch.long)
