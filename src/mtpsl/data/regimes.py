"""Label regimes: which of the labels that exist may be used in training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from mtpsl.errors import UserError

Regime = Literal["full", "one", "random", "ratio", "semi", "file"]
REGIMES: tuple[Regime, ...] = ("full", "one", "random", "ratio", "semi", "file")
#: here images without any label are meant to be there: training keeps them
WITH_UNLABELLED: tuple[Regime, ...] = ("semi", "file")


def label_mask(
    available: Bool[Tensor, "n k"],
    regime: Regime | str,
    seed: int,
    *,
    ratio: Sequence[float] | None = None,
    share: float | None = None,
    allowed: Bool[Tensor, "n k"] | None = None,
) -> Bool[Tensor, "n k"]:
    """Draw the labels that may be used; the same for the same seed, whatever the state of the global generator.

    Args:
        available: the labels that exist, an image per row and a task per column.
        regime: `full` keeps every label; `one` keeps one per image and balances the tasks: with every label available
            their counts differ by at most one; `random` keeps 1 to k - 1 per image, the number and then the subset
            drawn uniformly (an image with fewer labels keeps those it has); `ratio` keeps one per image, so that the
            tasks' counts follow `ratio`; `semi` keeps all labels of a `share` of the images and none of the others;
            `file` keeps those of `allowed` that exist.
        seed: of the drawing.
        ratio: a weight per column. With every label available the counts are exact: n times the weight's part of the
            sum, rounded by largest remainder (equal remainders: the earlier column). Where labels are missing, images
            with fewer choices choose first and the counts come as close as that allows. Weight 0 gives no label.
        share: between 0 and 1. The number of images is `share` times n, rounded to the nearest, halves up; images
            that have no label are not drawn. A larger share with the same seed keeps the images of a smaller one.
        allowed: the labels that a list names (`mtpsl.data.label_lists` reads one).

    Raises:
        UserError: an unknown regime, or a ratio or share that means nothing.

    The first three regimes are those of Li, Liu and Bilen, "Learning Multiple Dense Prediction Tasks from Partially
    Annotated Data", CVPR 2022, section 4; `ratio` is that of their Tab. 13 and `semi` that of Tab. 14.

    >>> everything = torch.ones(795, 3, dtype=torch.bool)
    >>> label_mask(everything, "one", seed=0).sum(0)
    tensor([265, 265, 265])
    >>> label_mask(everything, "ratio", seed=0, ratio=[1, 1, 3]).sum(0)
    tensor([159, 159, 477])
    """
    generator = torch.Generator().manual_seed(seed)
    if regime == "full":
        return available.clone()
    if regime == "one":
        return _one_each(available, generator, [0] * available.shape[1])
    if regime == "random":
        return _random_subsets(available, generator)
    if regime == "ratio":
        weights = check_ratio(ratio, [f"task {column + 1}" for column in range(available.shape[1])])
        choices = available & torch.tensor([weight > 0 for weight in weights], dtype=torch.bool)
        return _one_each(choices, generator, largest_remainder(int(choices.any(1).sum()), weights))
    if regime == "semi":
        return _whole_images(available, check_share(share), generator)
    if regime == "file":
        if allowed is None:
            raise ValueError("label regime 'file' needs the argument `allowed`")
        return available & allowed
    raise UserError(f"unknown label regime {regime!r}: known are {', '.join(REGIMES)}")


def check_ratio(ratio: Sequence[float] | None, tasks: Sequence[str]) -> list[float]:
    """The weights of a ratio.

    Raises:
        UserError: not one weight per task, a negative one, or none above zero.
    """
    weights = [float(weight) for weight in ratio or ()]
    if len(weights) != len(tasks) or not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        found = f"[{','.join(f'{weight:g}' for weight in weights)}]"
        raise UserError(
            f"--data.ratio should hold a weight for each of {', '.join(tasks)} in this order, none negative and not "
            f"all 0, as [{','.join(['1'] * len(tasks))}], not {found}"
        )
    return weights


def check_share(share: float | None) -> float:
    """The share of images with labels.

    Raises:
        UserError: it does not lie between 0 and 1.
    """
    if share is None or not 0 < share < 1:
        raise UserError(f"--data.share should lie between 0 and 1 (neither of them), as 0.333, not {share}")
    return float(share)


def largest_remainder(count: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers that add up to `count` and follow the weights; equal remainders favor the earlier one.

    >>> largest_remainder(2975, [1, 9])
    [298, 2677]
    """
    parts = [weight / max(weights) for weight in weights]
    exact = [count * part / sum(parts) for part in parts]
    numbers = [math.floor(number) for number in exact]
    by_remainder = sorted(range(len(weights)), key=lambda index: numbers[index] - exact[index])
    for index in by_remainder[: count - sum(numbers)]:
        numbers[index] += 1
    return numbers


def validate_for_training(
    mask: Bool[Tensor, "n k"],
    keys: Sequence[str],
    task_names: Sequence[str],
    *,
    allow_unlabelled: bool = False,
    trained: Sequence[str] | None = None,
) -> None:
    """Require that every trained task and every image has a label to learn from.

    Args:
        mask: the labels that may be used.
        keys: the images' names, one per row.
        task_names: the tasks, one per column.
        allow_unlabelled: accept images without any label.
        trained: the tasks that need a label; by default all.

    Raises:
        UserError: a task, or an image, has none.
    """
    if mask.shape != (len(keys), len(task_names)):
        raise ValueError(f"mask should have shape {(len(keys), len(task_names))}, not {tuple(mask.shape)}")
    counts = dict(zip(task_names, mask.sum(0).tolist(), strict=True))
    for name in task_names if trained is None else trained:
        if not counts[name]:
            others = ",".join(other for other in trained or task_names if counts[other])
            leave = f"leave the task out with --tasks {others}" if others else "leave the task out"
            raise UserError(f"no image may show a label of task {name!r}: add labels or {leave}")
    bare = [key for key, labelled in zip(keys, mask.any(1).tolist(), strict=True) if not labelled]
    if bare and not allow_unlabelled:
        more = f" (and {len(bare) - 1} more)" if len(bare) > 1 else ""
        raise UserError(
            f"image {bare[0]!r}{more} has no label of {', '.join(task_names)}: add one, pass over such images with "
            "--data.unlabelled skip, or let them stay (for semi_supervised) with --data.unlabelled keep"
        )


def _one_each(available: Bool[Tensor, "n k"], generator: torch.Generator, quotas: Sequence[int]) -> Bool[Tensor, "n k"]:
    count, tasks = available.shape
    mask = torch.zeros_like(available)
    order = torch.randperm(count, generator=generator)
    ties = torch.rand((count, tasks), generator=generator).tolist()
    # images with fewer choices go first, so that the others can even the counts out
    order = order[available[order].sum(1).argsort(stable=True)]
    excess = [-quota for quota in quotas]
    for row in order.tolist():
        choices = available[row].nonzero().flatten().tolist()
        if choices:
            task = min(choices, key=lambda column: (excess[column], ties[row][column]))
            excess[task] += 1
            mask[row, task] = True
    return mask


def _whole_images(available: Bool[Tensor, "n k"], share: float, generator: torch.Generator) -> Bool[Tensor, "n k"]:
    order = torch.randperm(len(available), generator=generator)
    order = order[available[order].any(1)]
    kept = order[: math.floor(share * len(available) + 0.5)]
    mask = torch.zeros_like(available)
    mask[kept] = available[kept]
    return mask


def _random_subsets(available: Bool[Tensor, "n k"], generator: torch.Generator) -> Bool[Tensor, "n k"]:
    count, tasks = available.shape
    keep = torch.randint(1, max(tasks, 2), (count, 1), generator=generator)
    lottery = torch.rand((count, tasks), generator=generator).masked_fill(~available, 2.0)
    return (lottery.argsort(1).argsort(1) < keep) & available
