"""Numbers of a report as texts, colors and lengths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from mtpsl.visualization.report.content import Annotation, Confusion, RunContent

NAMES = {"miou": "mIoU", "rmse": "RMSE", "odsf": "odsF", "abs_err": "absolute error", "rel_err": "relative error"}
NAMES |= {"mean_err": "mean error", "median_err": "median error", "image_iou": "IoU per image", "maxf": "maxF"}
MOST_COLUMNS = 240
"""Columns of the picture of labels: more images than that share columns."""


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits; a dash for none.

    >>> number(64.69284), number(None), number(0.000123456), number(1234567.0)
    ('64.69', '–', '0.0001235', '1234567')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def metric_name(metric: str) -> str:
    """A score's name for people.

    >>> metric_name("miou"), metric_name("within_11.25")
    ('mIoU', 'within 11.25')
    """
    return NAMES.get(metric, metric.replace("_", " "))


def written_value(value: float | None, unit: str) -> str:
    """A number with its unit.

    >>> written_value(17.72, "deg"), written_value(0.3113, "m"), written_value(0.1886, "")
    ('17.72°', '0.3113 m', '0.1886')
    """
    text = number(value)
    return text if value is None or not unit else f"{text}°" if unit == "deg" else f"{text} {unit}"


def label_strips(annotation: Annotation) -> list[tuple[str, int, list[float]]]:
    """Of every task its name, how many images have a label, and for neighboring images the share that has one."""
    count = len(annotation.labelled)
    places = np.linspace(0, count, min(count, MOST_COLUMNS) + 1).round().astype(int)
    strips = []
    for column, task in enumerate(annotation.tasks):
        of_task = annotation.labelled[:, column]
        shares = [float(of_task[a:b].mean()) for a, b in pairwise(places.tolist())]
        strips.append((task, int(of_task.sum()), shares))
    return strips


def cells_of_confusion(confusion: Confusion) -> list[tuple[str, int, list[tuple[float | None, int]]]]:
    """Of every labelled class its name, its pixels, and in percent what they were called; None without any."""
    rows = []
    for name, counts in zip(confusion.names, confusion.counts.tolist(), strict=True):
        total = sum(counts)
        rows.append((name, total, [(100 * count / total if total else None, count) for count in counts]))
    return rows


def history_rows(run: RunContent) -> tuple[list[str], list[list[str]]]:
    """metrics.csv as texts: heads and rows."""
    heads = list(run.history)
    columns: Sequence[Sequence[float | None]] = list(run.history.values())
    return heads, [["" if x is None else number(x, 5) for x in row] for row in zip(*columns, strict=True)]


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """The same, None for what is not defined."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
