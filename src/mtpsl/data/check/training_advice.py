"""What a check says about training on a data set: the sizes of its images, and the command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtpsl.data.check.report import DatasetReport
from mtpsl.data.sizes import Size, option, suggested_size
from mtpsl.data.split_names import find_split


def size_notes(report: DatasetReport, size: Size | None) -> list[str]:
    """Where images have to be resized for training: several sizes in a split, or others than in training."""
    if size is not None:
        return []
    notes = [
        f"{name}: images of {len(split.sizes)} sizes: train with a size to resize to, as {_size_option(report)}"
        for name, split in report.splits.items()
        if len(split.sizes) > 1
    ]
    training, validation = _split(report, "train"), _split(report, "val")
    sizes = [{*report.splits[name].sizes} for name in (training, validation) if name in report.splits]
    if not notes and len({size for found in sizes for size in found}) > 1:
        notes.append(
            f"{validation}: images of another size than those of {training}: train with a size to resize to, as "
            f"{_size_option(report)}"
        )
    return notes


def training_command(report: DatasetReport, options: Mapping[str, Any]) -> str:
    """The command that trains on a data set, or what it lacks for that.

    Args:
        report: what was found.
        options: those of the check that training needs as well.
    """
    words = ["mtpsl", "train", "--data.root", report.root]
    for name, value in options.items():
        words += [f"--data.{name}", ",".join(value) if isinstance(value, list | tuple) else str(value)]
    splits = [*report.splits]
    for role in ("train", "val"):
        if find_split(role, splits) is None:
            others = [split for split in splits if find_split("train", [split]) is None and report.splits[split].images]
            if role == "train" or not others:
                what = "train on" if role == "train" else "compute scores on"
                return f"there is no split to {what}: put images into {Path(report.root) / role}" + (
                    f", or name one of {', '.join(splits)} with --data.{role}_split" if len(splits) > 1 else ""
                )
            words += [f"--data.{role}_split", others[-1]]
    if size_notes(report, None):
        words += _size_option(report).split()
    return shlex.join([*words, "--out", "runs/first"])


def _split(report: DatasetReport, role: str) -> str | None:
    return find_split(role, [*report.splits])


def _size_option(report: DatasetReport) -> str:
    shown = _split(report, "val") or next(iter(report.splits))
    sizes: dict[Size, int] = {}
    for name, count in report.splits[shown].sizes.items():
        height, width = name.split("x")
        sizes[int(height), int(width)] = count
    return f"--data.size {option(suggested_size(sizes))}"
