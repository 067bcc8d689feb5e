"""Read every file of a data set and say what is in it and what is wrong with it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from mtpsl.data.base import StoredDataset, stored_size
from mtpsl.data.folder import FolderDataset
from mtpsl.data.layouts import layout_title, open_layout, require_layout, splits_of
from mtpsl.data.provenance import changed_source
from mtpsl.data.report import DatasetReport, SplitReport, TaskReport
from mtpsl.data.statistics import STATISTICS, Statistics
from mtpsl.errors import UserError


def check_dataset(
    root: str | Path,
    description: str | Path | None = None,
    *,
    name: str | None = None,
    classes: int | None = None,
    tasks: Sequence[str] | None = None,
    label_cache: str | Path | None = None,
    size: tuple[int, int] | None = None,
    progress: bool = True,
    limit: int = 10,
) -> DatasetReport:
    """Read every image and label of every split; do not stop at the first problem.

    Args:
        root: the data set's folder.
        description: the dataset.yaml; by default the one in `root` (`folder` only).
        name: the layout; by default it is recognized.
        classes: number of segmentation classes, for layouts that offer several.
        tasks: the tasks to read; by default all.
        label_cache: folder for labels computed from other files, for layouts that have some (`pascal`).
        size: height and width that labels are resized to before they are counted, as training would.
        progress: show a progress bar on the error stream.
        limit: how many problems are listed per split and kind.

    Raises:
        UserError: the folder or the description itself is missing or wrong, or its layout is unknown.
    """
    root = Path(root)
    layout = require_layout(root, name or ("folder" if description is not None else None))
    checkers: list[_SplitChecker] = []
    problems: dict[str, str] = {}
    # a layout that finds no split says itself what is missing
    for split in splits_of(layout, root) or ["train"]:
        options: dict[str, Any] = {
            "description": description,
            "classes": classes,
            "label_cache": label_cache,
            "strict": False if layout == "folder" else None,
        }
        try:
            checkers.append(_SplitChecker(split, open_layout(layout, root, split, size=size, tasks=tasks, **options)))
        except UserError as error:
            problems[split] = str(error)
    if not checkers:
        raise UserError(next(iter(problems.values())))
    report = DatasetReport(checkers[0].dataset.name, str(root), layout, layout_title(layout))
    report.problems += dict.fromkeys(problems.values())
    if stale := changed_source(root):
        report.notes.append(stale)
    with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
        job = bar.add_task("reading", total=sum(len(checker.dataset) for checker in checkers))
        for checker in checkers:
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                for read in pool.map(checker.read, range(len(checker.dataset))):
                    checker.count(read)
                    bar.advance(job)
            checker.finish(report, limit)
    return report


@dataclass
class _Read:
    """What reading one image and its labels gave; everything counted, nothing kept."""

    size: tuple[int, int] | None = None
    statistics: dict[str, Statistics] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class _SplitChecker:
    def __init__(self, name: str, dataset: StoredDataset) -> None:
        self.name, self.dataset = name, dataset
        self.types = {name: label_format.kind for name, label_format in dataset.formats.items()}
        self.totals = {name: STATISTICS[kind]() for name, kind in self.types.items()}
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.problems: dict[str, list[str]] = {}
        if isinstance(dataset, FolderDataset) and dataset.files.problems:
            self.problems["folders"] = list(dataset.files.problems)

    def read(self, index: int) -> _Read:
        read = _Read()
        try:
            read.size = stored_size(self.dataset.image(index))
        except UserError as error:
            read.problems["image"] = str(error)
        for name, exists in zip(self.types, self.dataset.available[index].tolist(), strict=True):
            if exists:
                try:
                    target, valid = self.dataset.label(index, name, read.size)
                    read.statistics[name] = STATISTICS[self.types[name]]()
                    read.statistics[name].update(target.numpy(), valid.numpy())
                except UserError as error:
                    read.problems[name] = str(error)
        return read

    def count(self, read: _Read) -> None:
        if read.size is not None:
            self.sizes[read.size] += 1
        for name, statistics in read.statistics.items():
            self.totals[name].merge(statistics)
        for kind, problem in read.problems.items():
            self.problems.setdefault(kind, []).append(problem)

    def finish(self, report: DatasetReport, limit: int) -> None:
        available, images = self.dataset.available, len(self.dataset)
        tasks = {}
        for column, (name, task) in enumerate(self.dataset.tasks.items()):
            total, labels = self.totals[name], int(available[:, column].sum())
            tasks[name] = TaskReport(
                type=self.types[name],
                labels=labels,
                label_share=labels / max(images, 1),
                valid_share=total.valid / total.pixels if total.pixels else None,
                empty=total.empty,
                values=total.values(task),
            )
            where = f"{self.name}/{name}"
            if not labels:
                report.notes.append(f"{where}: no label, so this task cannot be trained or scored on this split")
            if total.empty:
                report.notes.append(f"{where}: {total.empty} labels without any valid pixel")
            report.notes += [f"{where}: {note}" for note in total.notes(task)]
        unlabelled = int((~available.any(1)).sum())
        if unlabelled:
            report.notes.append(
                f"{self.name}: {unlabelled} of {images} images have no label of any task: "
                "training on them wants --data.unlabelled skip or keep"
            )
        if len(self.sizes) > 1 and self.dataset.size is None:
            report.notes.append(f"{self.name}: images of {len(self.sizes)} sizes: train with a size to resize to")
        published = self.dataset.published.get(self.name)
        if published is not None:
            found = "as" if published == images else f"but {published}"
            report.notes.append(f"{self.name}: {images} images, {found} published")
        sizes = {f"{height}x{width}": count for (height, width), count in self.sizes.most_common()}
        report.splits[self.name] = SplitReport(images, unlabelled, sizes, tasks)
        for kind, problems in self.problems.items():
            report.problems += problems[:limit]
            if len(problems) > limit:
                report.hidden[f"{self.name}/{kind}"] = len(problems) - limit
