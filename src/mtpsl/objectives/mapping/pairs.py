"""Which pairs of tasks an image has: what is mapped in a step, planned on the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Pair(NamedTuple):
    """A pair of tasks of one image: the prediction of `source` is compared with the label of `target`."""

    image: int
    source: int
    target: int

    def column(self, num_tasks: int) -> int:
        """The place of the tasks in all ordered pairs: row-major over the K x K matrix without its diagonal.

        >>> [Pair(0, *tasks).column(3) for tasks in ((0, 1), (0, 2), (1, 0), (2, 1))]
        [0, 1, 2, 5]
        """
        return self.source * (num_tasks - 1) + self.target - int(self.target > self.source)


class Side(NamedTuple):
    """One map in the joint space of a pair: that of the label, or of the prediction, of one of its tasks."""

    is_label: bool
    task: int
    pair: Pair

    @classmethod
    def prediction(cls, pair: Pair) -> Side:
        """The source's prediction."""
        return cls(False, pair.source, pair)

    @classmethod
    def label(cls, pair: Pair) -> Side:
        """The target's label."""
        return cls(True, pair.target, pair)

    @classmethod
    def source_label(cls, pair: Pair) -> Side:
        """The source's label, where it has one."""
        return cls(True, pair.source, pair)


def plan_pairs(
    labelled: Bool[Tensor, "b k"],
    *,
    unlabelled: Bool[Tensor, "b k"] | None = None,
    labelled_sources: bool = False,
    related: Bool[Tensor, "k k"] | None = None,
) -> list[Pair]:
    """Every (image, source task, labelled target task) with different tasks.

    This is a step's one host synchronization: which pairs there are is control flow.

    Args:
        labelled: the labels that there are.
        unlabelled: the sources; by default all without a label (a task whose label a crop missed is neither).
        labelled_sources: take labelled tasks for sources, too, not only unlabelled ones.
        related: the pairs (source, target) to plan, on the CPU; all by default.

    >>> plan_pairs(torch.tensor([[True, False, False]]))
    [Pair(image=0, source=1, target=0), Pair(image=0, source=2, target=0)]
    """
    labelled = labelled.cpu()
    pairs = labelled[:, None, :] & ~torch.eye(labelled.shape[1], dtype=torch.bool)
    if not labelled_sources:
        pairs = pairs & (~labelled if unlabelled is None else unlabelled.cpu())[:, :, None]
    if related is not None:
        pairs = pairs & related
    return [Pair(*place) for place in pairs.nonzero().tolist()]


def count_sources(pairs: Sequence[Pair]) -> list[int]:
    """How many source tasks the image of each pair has.

    >>> count_sources([Pair(0, 1, 0), Pair(0, 1, 3), Pair(0, 2, 0)])
    [2, 2, 2]
    """
    counts = Counter(image for image, _ in {(pair.image, pair.source) for pair in pairs})
    return [counts[pair.image] for pair in pairs]


def draw_pairs(pairs: Sequence[Pair], budget: int) -> tuple[list[int], Float[Tensor, " d"]]:
    """The places of at most `budget` pairs of each image, drawn evenly, and how many each stands for.

    The expected sum of the drawn terms, each times that number (1 where all remain), is the sum of all terms.

    >>> draw_pairs(plan_pairs(torch.tensor([[True, False, False, False]])), 2)[1]
    tensor([1.5000, 1.5000])
    """
    order = torch.rand(len(pairs))
    image = torch.tensor([pair.image for pair in pairs])
    same = image[:, None] == image
    drawn = (same & (order < order[:, None])).sum(1) < budget
    count = same.sum(1)
    return drawn.nonzero()[:, 0].tolist(), (count / count.clamp(max=budget))[drawn]


def to_device(numbers: Sequence[int] | Tensor, device: torch.device) -> Tensor:
    """A few numbers that the host has, sent to a device without waiting for what it is doing."""
    tensor = numbers if isinstance(numbers, Tensor) else torch.tensor(numbers, dtype=torch.long)
    return tensor.to(device, non_blocking=True)
