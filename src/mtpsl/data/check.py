"""Read every file of a data set and say what is in it and what is wrong with it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from mtpsl.data.arrays import read_picture
from mtpsl.data.description import Description, read_description
from mtpsl.data.folder import SplitFiles, find_splits, list_split
from mtpsl.data.label_format import LabelFormat
from mtpsl.data.report import DatasetReport, SplitReport, TaskReport
from mtpsl.data.statistics import STATISTICS, Statistics
from mtpsl.errors import UserError


def check_dataset(
    root: str | Path,
    description: str | Path | None = None,
    *,
    size: tuple[int, int] | None = None,
    progress: bool = True,
    limit: int = 10,
) -> DatasetReport:
    """Read every image and label of every split; do not stop at the first problem.

    Args:
        root: the data set's folder.
        description: the dataset.yaml; by default the one in `root`.
        size: height and width that labels are resized to before they are counted, as training would.
        progress: show a progress bar on the error stream.
        limit: how many problems are listed per split and kind.

    Raises:
        UserError: the folder or the description itself is missing or wrong.
    """
    root = Path(root)
    splits = find_splits(root)
    described = read_description(root / "dataset.yaml" if description is None else description)
    report = DatasetReport(described.name, str(root))
    with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
        files = {split: list_split(root / split, [*described.formats]) for split in splits}
        job = bar.add_task("reading", total=sum(len(one.images) for one in files.values()))
        for split, listed in files.items():
            checker = _SplitChecker(split, described, listed, size)
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                for read in pool.map(checker.read, sorted(listed.images)):
                    checker.count(read)
                    bar.advance(job)
            checker.finish(report, limit)
    return report


@dataclass
class _Read:
    """What reading one image and its labels gave; everything counted, nothing kept."""

    key: str
    size: tuple[int, int] | None = None
    statistics: dict[str, Statistics] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class _SplitChecker:
    def __init__(self, name: str, described: Description, files: SplitFiles, size: tuple[int, int] | None) -> None:
        self.name, self.files, self.size = name, files, size
        self.formats: Mapping[str, LabelFormat] = described.formats
        self.types = {name: label_format.kind for name, label_format in described.formats.items()}
        self.totals = {name: STATISTICS[kind]() for name, kind in self.types.items()}
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.problems: dict[str, list[str]] = {"folders": list(files.problems)} if files.problems else {}

    def read(self, key: str) -> _Read:
        read = _Read(key)
        try:
            picture = read_picture(self.files.images[key])
            read.size = (picture.height, picture.width)
        except UserError as error:
            read.problems["image"] = str(error)
        for name, label_format in self.formats.items():
            path = self.files.labels[name].get(key)
            if path is not None:
                try:
                    target, valid = label_format.read(path, read.size, self.size)
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
        images = self.files.images
        tasks = {}
        for name, label_format in self.formats.items():
            total, labels = self.totals[name], len(images.keys() & self.files.labels[name].keys())
            tasks[name] = TaskReport(
                type=self.types[name],
                labels=labels,
                label_share=labels / max(len(images), 1),
                valid_share=total.valid / total.pixels if total.pixels else None,
                empty=total.empty,
                values=total.values(label_format.task(name)),
            )
            where = f"{self.name}/{name}"
            if not labels:
                report.notes.append(f"{where}: no label, so this task cannot be trained or scored on this split")
            if total.empty:
                report.notes.append(f"{where}: {total.empty} labels without any valid pixel")
            report.notes += [f"{where}: {note}" for note in total.notes(label_format.task(name))]
        unlabelled = sum(not any(key in files for files in self.files.labels.values()) for key in images)
        if unlabelled:
            report.notes.append(f"{self.name}: {unlabelled} of {len(images)} images have no label of any task")
        if len(self.sizes) > 1 and self.size is None:
            report.notes.append(f"{self.name}: images of {len(self.sizes)} sizes: train with a size to resize to")
        sizes = {f"{height}x{width}": count for (height, width), count in self.sizes.most_common()}
        report.splits[self.name] = SplitReport(len(images), unlabelled, sizes, tasks)
        for kind, problems in self.problems.items():
            report.problems += problems[:limit]
            if len(problems) > limit:
                report.hidden[f"{self.name}/{kind}"] = len(problems) - limit
