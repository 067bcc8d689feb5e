"""What a network makes of validation images: sheets, the worst and the best, classes, sizes of errors."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torchmetrics import Metric

from mtpsl.data.partial import PartialDataset
from mtpsl.structures import Sample
from mtpsl.tasks import ClassMap, Task
from mtpsl.tasks.drawing import ErrorAmounts
from mtpsl.tasks.metrics.segmentation import SegmentationMetric
from mtpsl.visualization.report.content import ClassTable, Confusion, Histogram, Looked, Sheet
from mtpsl.visualization.report.drawing import Predicted, predicted, view
from mtpsl.visualization.report.numbers import finite, written_value

BINS = 40
PIXELS = 20_000
"""Pixels of an image whose errors are counted."""
MOST = 0.99
"""The share of pixels that a histogram shows."""


@dataclass(frozen=True)
class Seen:
    """An image and all that is said of it."""

    sample: Sample
    predictions: dict[str, Predicted]


@dataclass
class Ranking:
    """The images of one task with the largest and the smallest loss, drawn when they come in."""

    most: int
    best: list[tuple[float, Sheet]] = field(default_factory=list)
    worst: list[tuple[float, Sheet]] = field(default_factory=list)

    def wants(self, loss: float) -> bool:
        """Whether an image of such a loss comes in."""
        full = len(self.best) == self.most
        return self.most > 0 and (not full or loss < self.best[-1][0] or loss > self.worst[-1][0])

    def add(self, loss: float, sheet: Sheet) -> None:
        """Let it in."""
        self.best = sorted([*self.best, (loss, sheet)], key=lambda one: one[0])[: self.most]
        self.worst = sorted([*self.worst, (loss, sheet)], key=lambda one: -one[0])[: self.most]


class Look:
    """Counts images one by one.

    Args:
        tasks: what is predicted.
        shown: so many of the first images are kept for sheets.
        extremes: so many of the worst and of the best images of every task.
    """

    def __init__(self, tasks: Sequence[Task], shown: int, extremes: int) -> None:
        self.tasks, self.shown = list(tasks), shown
        self.seen: list[Seen] = []
        self.count = 0
        self._rankings = {task.name: Ranking(extremes) for task in tasks}
        self._metrics = {task.name: alone(task.metric()) for task in tasks if has_classes(task)}
        self._errors: dict[str, list[np.ndarray]] = defaultdict(list)
        self._kinds: set[str] = set()

    def add(self, sample: Sample, raw: dict[str, Float[Tensor, "c h w"]]) -> None:
        """Look at an image with its raw predictions, on the CPU."""
        kept = {}
        for task in self.tasks:
            label, mask = sample.targets.get(task.name), sample.valid.get(task.name)
            labelled = label is not None and mask is not None and bool(mask.any())
            drawn = None
            if self.count < self.shown:
                drawn = kept[task.name] = predicted(
                    task, sample.image, raw[task.name], label if labelled else None, mask if labelled else None
                )
            if labelled:
                assert label is not None
                assert mask is not None
                self._count(task, sample, raw[task.name], label, mask, drawn)
        if kept:
            self.seen.append(Seen(sample, kept))
        self.count += 1

    def _count(
        self, task: Task, sample: Sample, raw: Tensor, label: Tensor, mask: Bool[Tensor, "h w"], drawn: Predicted | None
    ) -> None:
        batch = raw[None], label[None], mask[None]
        ranking = self._rankings[task.name]
        if ranking.most and ranking.wants(loss := float(task.loss(*batch))):
            drawn = drawn or predicted(task, sample.image, raw, label, mask)
            ranking.add(loss, Sheet(sample.key, [view(task, sample.image, {"prediction": drawn}, label, mask)]))
        if task.name in self._metrics:
            self._metrics[task.name].update(*batch)
        if task.name not in self._kinds:
            errors = task.error_map(torch.nan_to_num(batch[0]), *batch[1:])
            if not isinstance(errors, ErrorAmounts):
                self._kinds.add(task.name)
                return
            amounts = errors.amount[0][mask & raw.isfinite().all(0)].numpy()
            self._errors[task.name].append(amounts[:: max(1, len(amounts) // PIXELS)])

    def result(self, total: int) -> Looked:
        """All that was found on images of which there are `total`."""
        # with few images the worst would be the best, too
        enough = {name: one for name, one in self._rankings.items() if self.count >= 2 * one.most}
        ranked = {name: one for name, one in enough.items() if len(one.best) == one.most}
        named = {task.name: task for task in self.tasks}
        confusions = []
        for name, metric in self._metrics.items():
            task = named[name]
            if isinstance(metric, SegmentationMetric) and isinstance(task, ClassMap):
                confusions.append(Confusion(name, class_names(task), metric.confusion.numpy()))
        return Looked(
            self.count,
            total,
            [sheet_of(self.tasks, one) for one in self.seen],
            {name: [sheet for _, sheet in one.best] for name, one in ranked.items() if one.most},
            {name: [sheet for _, sheet in one.worst] for name, one in ranked.items() if one.most},
            [ClassTable(name, finite(named[name].class_scores(metric))) for name, metric in self._metrics.items()],
            [one for one in confusions if one.counts.sum()],
            [histogram(named[name], np.concatenate(amounts)) for name, amounts in self._errors.items() if amounts],
        )


@torch.no_grad()
def look_at(
    network: nn.Module,
    tasks: Sequence[Task],
    dataset: PartialDataset,
    *,
    shown: int,
    extremes: int,
    images: int,
    seconds: float = math.inf,
) -> Look:
    """Predict images at even distances and look at them.

    Args:
        network: in any mode; it is left in the mode that it was in.
        tasks: what it predicts.
        dataset: images with all labels, of the images' size.
        shown: how many images become sheets; the first so many are always looked at.
        extremes: how many of the worst and the best images of every task are drawn.
        images: how many are looked at, at most.
        seconds: stop after so long.
    """
    parameter = next(network.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    training, start = network.training, time.monotonic()
    look = Look(tasks, min(shown, len(dataset)), extremes)
    network.eval()
    try:
        for index in spread_order(len(dataset), shown, images):
            if look.count >= look.shown and time.monotonic() - start > seconds:
                break
            sample = dataset[index]
            raw = network(sample.image[None].to(device)).predictions
            look.add(sample, {task.name: raw[task.name][0].float().cpu() for task in tasks})
    finally:
        network.train(training)
    return look


def spread_order(count: int, shown: int, images: int) -> list[int]:
    """At most `images` of `count` places: `shown` at even distances, then others, so that any first part is spread.

    >>> spread_order(10, 2, 5), spread_order(3, 4, 100)
    ([0, 5, 1, 6, 3], [0, 1, 2])
    """
    shown = min(shown, count)
    first = [place * count // shown for place in range(shown)]
    others = sorted(set(range(count)) - set(first))
    return [*first, *(others[rank] for rank in far_apart(len(others)))][: max(images, shown)]


def far_apart(count: int) -> list[int]:
    """The numbers below `count`, each far from those before it (van der Corput's order, base 2)."""
    bits = max(1, (count - 1).bit_length())
    order = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    return [number for number in order if number < count]


def sheet_of(tasks: Sequence[Task], seen: Seen) -> Sheet:
    """All tasks of an image as one network predicts them."""
    sample = seen.sample
    return Sheet(
        sample.key,
        [
            view(task, sample.image, {"prediction": seen.predictions[task.name]}, *label_of(sample, task))
            for task in tasks
        ],
    )


def label_of(sample: Sample, task: Task) -> tuple[Tensor, Bool[Tensor, "h w"]] | tuple[None, None]:
    """A label and which of its pixels count; None for both without any."""
    mask = sample.valid.get(task.name)
    return (None, None) if mask is None or not bool(mask.any()) else (sample.targets[task.name], mask)


def histogram(task: Task, amounts: np.ndarray) -> Histogram:
    """How many pixels have errors of which size, up to what few exceed."""
    errors = amounts[np.isfinite(amounts)].astype(np.float64)
    if not len(errors):
        return Histogram(task.name, "", [0.0, 1.0], [0.0], "no pixel has a label and a finite prediction")
    unit = task.score_types[task.primary][0]
    unit = "" if unit == "%" else unit
    median, ninety, top = np.quantile(errors, [0.5, 0.9, MOST]).tolist()
    counts, edges = np.histogram(errors, BINS, (0.0, top if top > 0 else 1.0))
    words = f"half of the pixels are off by at most {written_value(median, unit)}, 90 % by at most "
    words += f"{written_value(ninety, unit)}; errors above {written_value(top, unit)}, 1 % of the pixels, are not drawn"
    return Histogram(task.name, unit, edges.tolist(), (counts / len(errors)).tolist(), words)


def has_classes(task: Task) -> bool:
    """Whether a task tells the scores of classes apart."""
    return type(task).class_scores is not Task.class_scores


def class_names(task: ClassMap) -> list[str]:
    """The classes, numbered where two are called the same."""
    return [f"{name} ({i})" if task.class_names.count(name) > 1 else name for i, name in enumerate(task.class_names)]


def alone(metric: Metric) -> Metric:
    """A metric that does not wait for other processes."""
    metric.distributed_available_fn = lambda: False
    return metric
