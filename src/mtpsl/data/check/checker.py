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
from mtpsl.data.check.derived import DerivedStatistics
from mtpsl.data.check.report import NONE, DatasetReport, SplitReport, TaskReport
from mtpsl.data.check.statistics import Statistics, statistics_of
from mtpsl.data.check.training_advice import size_notes, training_command
from mtpsl.data.convert.provenance import changed_source
from mtpsl.data.layouts.folder import FolderDataset
from mtpsl.data.partial import derivable
from mtpsl.data.registry import layout_title, open_layout, require_layout, splits_of
from mtpsl.data.split_names import find_split
from mtpsl.errors import UserError
from mtpsl.files import leads_nowhere


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
    for split in splits_of(layout, root, description) or ["train"]:
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
    report.problems += [
        f"{path}: is a link to nothing ({os.readlink(path)}): mend or remove it"
        for path in (sorted(root.iterdir()) if root.is_dir() else [])
        if leads_nowhere(path) and not path.name.startswith(".")
    ]
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
    report.notes += size_notes(report, size)
    given = {"name": name, "description": description, "classes": classes, "label_cache": label_cache, "tasks": tasks}
    report.next = training_command(report, {option: value for option, value in given.items() if value is not None})
    return report


@dataclass
class _Read:
    """What reading one image and its labels gave; everything counted, nothing kept."""

    size: tuple[int, int] | None = None
    turned: bool = False
    statistics: dict[str, Statistics] = field(default_factory=dict)
    derived: dict[str, DerivedStatistics] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class _SplitChecker:
    def __init__(self, name: str, dataset: StoredDataset) -> None:
        self.name, self.dataset = name, dataset
        self.types = {name: label_format.kind for name, label_format in dataset.formats.items()}
        self.totals = {name: statistics_of(task) for name, task in dataset.tasks.items()}
        self.derivable = derivable(dataset, dataset.available)
        follow = [name for name, some in zip(dataset.tasks, self.derivable.any(0).tolist(), strict=True) if some]
        self.derived = {name: DerivedStatistics(dataset.tasks[name]) for name in follow}
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.turned = 0
        self.problems: dict[str, list[str]] = {}
        self.predicted = dict.fromkeys(dataset.tasks, 0)
        if dataset.predicted is not None:
            self.predicted = dict(zip(dataset.tasks, dataset.predicted.sum(0).tolist(), strict=True))
        self.by = "a network" if dataset.autolabels is None else dataset.autolabels.title
        if isinstance(dataset, FolderDataset) and dataset.files.problems:
            self.problems["folders"] = list(dataset.files.problems)

    def read(self, index: int) -> _Read:
        read = _Read()
        try:
            read.size = stored_size(self.dataset.image(index))
            read.turned = self.dataset.turned(index)
        except UserError as error:
            read.problems["image"] = str(error)
        exist, follow = self.dataset.available[index].tolist(), self.derivable[index].tolist()
        for name, exists, follows in zip(self.types, exist, follow, strict=True):
            label = None
            try:
                if exists:
                    target, valid = label = self.dataset.label(index, name, read.size)
                    read.statistics[name] = statistics_of(self.dataset.tasks[name])
                    read.statistics[name].update(target.numpy(), valid.numpy())
                if follows:
                    derived = self.dataset.derive(index, name)
                    read.derived[name] = DerivedStatistics(self.dataset.tasks[name])
                    if label is None:
                        read.derived[name].add(*derived)
                    elif label[1].shape == derived[1].shape:
                        read.derived[name].compare(derived, label)
            except UserError as error:
                read.problems[name] = str(error)
        return read

    def count(self, read: _Read) -> None:
        if read.size is not None:
            self.sizes[read.size] += 1
        self.turned += read.turned
        for name, statistics in read.statistics.items():
            self.totals[name].merge(statistics)
        for name, derived in read.derived.items():
            self.derived[name].merge(derived)
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
                derived=self.derived[name].labels if name in self.derived else 0,
                predicted=self.predicted[name],
            )
            where = f"{self.name}/{name}"
            if self.predicted[name]:
                report.notes.append(f"{where}: labels of {self.predicted[name]} images are predicted by {self.by}")
            if name in self.derived:
                notes = self.derived[name].notes(self.dataset.follows[name])
                report.notes += [f"{where}: {note}" for note in notes]
            elif not labels:
                report.notes.append(f"{where}: no label, so this task cannot be trained or scored on this split")
            if total.empty:
                report.notes.append(f"{where}: {total.empty} labels without any valid pixel")
            report.notes += [f"{where}: {note}" for note in total.notes(task)]
        if isinstance(self.dataset, FolderDataset):
            report.notes += self.dataset.files.notes
        combinations = Counter(self._labels(row) for row in available.tolist())
        unlabelled = combinations[NONE]
        if unlabelled:
            what = (
                "training skips them, unless --data.unlabelled says refuse or keep"
                if find_split("train", [self.name])
                else "they do not count in scores"
            )
            report.notes.append(f"{self.name}: {unlabelled} of {images} images have no label of any task: {what}")
        if self.turned:
            report.notes.append(
                f"{self.name}: {self.turned} of {images} images are turned upright as their EXIF entry says: "
                "their labels should be upright, too, not as the pixels lie in the file"
            )
        published = self.dataset.published.get(self.name)
        if published is not None:
            found = "as" if published == images else f"but {published}"
            report.notes.append(f"{self.name}: {images} images, {found} published")
        sizes = {f"{height}x{width}": count for (height, width), count in self.sizes.most_common()}
        report.splits[self.name] = SplitReport(
            images, unlabelled, sizes, tasks, self.turned, dict(combinations.most_common())
        )
        for kind, problems in self.problems.items():
            report.problems += problems[:limit]
            if len(problems) > limit:
                report.hidden[f"{self.name}/{kind}"] = len(problems) - limit

    def _labels(self, row: list[bool]) -> str:
        return " + ".join(name for name, there in zip(self.types, row, strict=True) if there) or NONE
