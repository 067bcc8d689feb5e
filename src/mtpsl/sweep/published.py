"""The numbers that papers printed, from a file of the package."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib.resources import files

from mtpsl.errors import UserError

Printed = dict[tuple[str | None, str], str]


def published_numbers(sources: Sequence[str], benchmark: str | None) -> dict[tuple[str, str], Printed]:
    """By label regime and method, the numbers of some tables for one benchmark, as printed, by task and metric.

    The first of the sources that has a row wins.

    Raises:
        UserError: a source or the benchmark is unknown.
    """
    text = (files("mtpsl") / "tables" / "published.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    known = list(dict.fromkeys(line["source"] for line in lines))
    found: dict[tuple[str, str], Printed] = {}
    for source in sources:
        if source not in known:
            raise UserError(f"source {source!r} is unknown: choose from {', '.join(known)}")
        of_source = [line for line in lines if line["source"] == source]
        mine = [line for line in of_source if line["benchmark"] == benchmark]
        if not mine:
            there = ", ".join(dict.fromkeys(line["benchmark"] for line in of_source))
            raise UserError(f"benchmark {benchmark!r} is not in {source}: choose from {there}")
        new: dict[tuple[str, str], Printed] = {}
        for line in mine:
            row = new.setdefault((line["label_regime"], line["method"]), {})
            row[task_and_metric(line["metric"])] = line["value"]
        found = new | found
    return found


def task_and_metric(name: str) -> tuple[str | None, str]:
    """A metric of the file as this package names it.

    >>> task_and_metric("human_parts_miou"), task_and_metric("depth_abs_err"), task_and_metric("delta_mtl")
    (('human_parts', 'miou'), ('depth', 'abs_err'), (None, 'delta_mtl'))
    """
    if name == "delta_mtl":
        return None, name
    if name == "saliency_miou":  # of the code that the paper's evaluation follows: see SaliencyMetric
        return "saliency", "image_iou"
    for metric in ("abs_err", "mean_err"):
        if name.endswith(f"_{metric}"):
            return name.removesuffix(f"_{metric}"), metric
    task, _, metric = name.rpartition("_")
    return task, metric
