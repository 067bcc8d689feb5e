"""Which pairs of tasks an image has: rows of a mapping's pass, planned on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class PairPlan:
    """The rows of the mapping: image, source task (its prediction is mapped) and target task (its label is)."""

    image: Int[Tensor, " r"]
    source: Int[Tensor, " r"]
    target: Int[Tensor, " r"]

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, rows: Tensor) -> PairPlan:
        """Some of the rows."""
        return PairPlan(self.image[rows], self.source[rows], self.target[rows])

    def sources(self) -> Int[Tensor, " r"]:
        """How many source tasks each row's image has.

        >>> PairPlan(torch.tensor([0, 0, 0]), torch.tensor([1, 1, 2]), torch.tensor([0, 3, 0])).sources()
        tensor([2, 2, 2])
        """
        tasks = torch.stack([self.image, self.source]).unique(dim=1)
        return (tasks[0] == self.image[:, None]).sum(1)


def on_device(numbers: Sequence[int] | Tensor, device: torch.device) -> Tensor:
    """A few numbers that the host has, sent to a device without waiting for what it is doing."""
    tensor = numbers if isinstance(numbers, Tensor) else torch.tensor(numbers, dtype=torch.long)
    return tensor.to(device, non_blocking=True)


def plan_pairs(
    labelled: Bool[Tensor, "b k"],
    *,
    unlabelled: Bool[Tensor, "b k"] | None = None,
    labelled_sources: bool = False,
    related: Bool[Tensor, "k k"] | None = None,
) -> PairPlan:
    """Every (image, source task, labelled target task) with different tasks.

    Args:
        labelled: the labels that there are.
        unlabelled: the sources; by default all without a label (a task whose label a crop missed is neither).
        labelled_sources: take labelled tasks for sources, too, not only unlabelled ones.
        related: the pairs (source, target) to plan; all by default.
    """
    pairs = labelled[:, None, :] & ~torch.eye(labelled.shape[1], dtype=torch.bool)
    if not labelled_sources:
        pairs = pairs & (~labelled if unlabelled is None else unlabelled)[:, :, None]
    if related is not None:
        pairs = pairs & related
    image, source, target = pairs.nonzero(as_tuple=True)
    return PairPlan(image, source, target)


def draw_pairs(plan: PairPlan, budget: int) -> tuple[Int[Tensor, " d"], Float[Tensor, " d"]]:
    """At most `budget` rows of each image, drawn evenly, and how many each stands for (1 where all remain).

    The expected sum of the drawn terms, each times that number, is the sum of all terms.

    >>> plan = plan_pairs(torch.tensor([[True, False, False, False]]))
    >>> draw_pairs(plan, 2)[1]
    tensor([1.5000, 1.5000])
    """
    order = torch.rand(len(plan))
    same = plan.image[:, None] == plan.image
    kept = (same & (order < order[:, None])).sum(1) < budget
    count = same.sum(1)
    return kept.nonzero()[:, 0], (count / count.clamp(max=budget))[kept]


def pair_index(source: Int[Tensor, " r"], target: Int[Tensor, " r"], num_tasks: int) -> Int[Tensor, " r"]:
    """The column of a pair: row-major over the K x K matrix without its diagonal.

    >>> pair_index(torch.tensor([0, 0, 1, 2]), torch.tensor([1, 2, 0, 1]), 3)
    tensor([0, 1, 2, 5])
    """
    return source * (num_tasks - 1) + target - (target > source).long()
