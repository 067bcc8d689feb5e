"""Label regimes: which of the labels that exist may be used in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from mtpsl.errors import UserError

Regime = Literal["full", "one", "random"]
REGIMES: tuple[Regime, ...] = ("full", "one", "random")


def label_mask(available: Bool[Tensor, "n k"], regime: Regime | str, seed: int) -> Bool[Tensor, "n k"]:
    """Draw the labels that may be used; the same for the same seed, whatever the state of the global generator.

    Args:
        available: the labels that exist, an image per row and a task per column.
        regime: `full` keeps every label; `one` keeps one per image and balances the tasks: with every label available
            their counts differ by at most one; `random` keeps 1 to k - 1 per image, the number and then the subset
            drawn uniformly (an image with fewer labels keeps those it has).
        seed: of the drawing.

    The regimes are those of Li, Liu and Bilen, "Learning Multiple Dense Prediction Tasks from Partially Annotated
    Data", CVPR 2022, section 4.

    >>> label_mask(torch.ones(795, 3, dtype=torch.bool), "one", seed=0).sum(0)
    tensor([265, 265, 265])
    """
    generator = torch.Generator().manual_seed(seed)
    if regime == "full":
        return available.clone()
    if regime == "one":
        return _one_each(available, generator)
    if regime == "random":
        return _random_subsets(available, generator)
    raise UserError(f"unknown label regime {regime!r}: known are {', '.join(REGIMES)}")


def validate_for_training(
    mask: Bool[Tensor, "n k"], keys: Sequence[str], task_names: Sequence[str], *, allow_unlabelled: bool = False
) -> None:
    """Require that every task and every image has a label to learn from.

    Args:
        mask: the labels that may be used.
        keys: the images' names, one per row.
        task_names: the tasks, one per column.
        allow_unlabelled: accept images without any label.

    Raises:
        UserError: a task, or an image, has none.
    """
    if mask.shape != (len(keys), len(task_names)):
        raise ValueError(f"mask should have shape {(len(keys), len(task_names))}, not {tuple(mask.shape)}")
    for name, labelled in zip(task_names, mask.any(0).tolist(), strict=True):
        if not labelled:
            raise UserError(f"no image may show a label of task {name!r}: add labels or leave the task out")
    bare = [key for key, labelled in zip(keys, mask.any(1).tolist(), strict=True) if not labelled]
    if bare and not allow_unlabelled:
        more = f" (and {len(bare) - 1} more)" if len(bare) > 1 else ""
        raise UserError(
            f"image {bare[0]!r}{more} has no label of {', '.join(task_names)}: add one, remove the image, "
            "or allow images without labels"
        )


def _one_each(available: Bool[Tensor, "n k"], generator: torch.Generator) -> Bool[Tensor, "n k"]:
    count, tasks = available.shape
    mask = torch.zeros_like(available)
    order = torch.randperm(count, generator=generator)
    ties = torch.rand((count, tasks), generator=generator).tolist()
    # images with fewer choices go first, so that the others can even the counts out
    order = order[available[order].sum(1).argsort(stable=True)]
    counts = [0] * tasks
    for row in order.tolist():
        choices = available[row].nonzero().flatten().tolist()
        if choices:
            task = min(choices, key=lambda column: (counts[column], ties[row][column]))
            counts[task] += 1
            mask[row, task] = True
    return mask


def _random_subsets(available: Bool[Tensor, "n k"], generator: torch.Generator) -> Bool[Tensor, "n k"]:
    count, tasks = available.shape
    keep = torch.randint(1, max(tasks, 2), (count, 1), generator=generator)
    lottery = torch.rand((count, tasks), generator=generator).masked_fill(~available, 2.0)
    return (lottery.argsort(1).argsort(1) < keep) & available
