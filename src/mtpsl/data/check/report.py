"""What a check of a data set found, as an object, a dictionary and tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mtpsl.tasks import TASKS, ClassMap, Depth, Regression, Task

#: how many combinations of labels are listed
MOST = 16
#: the combination of an image without any label
NONE = "none"


@dataclass
class TaskReport:
    """One task in one split.

    `label_share` is the share of images with a label, `valid_share` of pixels that count in labels that could be read,
    both from 0 to 1; `derived` counts further images whose label follows from another one, `predicted` those of
    `labels` that a run predicted; `values` holds the numbers
    that fit the task: class shares, depth range, boundary share.
    """

    type: str
    labels: int
    label_share: float
    valid_share: float | None
    empty: int
    values: dict[str, float]
    derived: int = 0
    predicted: int = 0

    @property
    def by_class(self) -> bool:
        """Whether `values` are shares of classes."""
        return issubclass(TASKS.get(self.type, Task), ClassMap)


@dataclass
class SplitReport:
    """One split: its images, their stored sizes (`"144x192"`, height x width) and tasks.

    `turned` counts the images that their EXIF entry turns upright, `combinations` those with labels of the same tasks
    (`"segmentation + depth"`, `"none"`).
    """

    images: int
    unlabelled: int
    sizes: dict[str, int]
    tasks: dict[str, TaskReport]
    turned: int = 0
    combinations: dict[str, int] = field(default_factory=dict)


@dataclass
class DatasetReport:
    """All splits of a data set; `problems` would stop training or evaluation, `notes` are worth a look.

    `layout` is its name among `DATASETS`, `title` what that is.
    `problems` has at most a given number of lines per split and kind; `hidden` says how many were left out. `next` is
    the command that trains on the set, or what it lacks for that.
    """

    name: str
    root: str
    layout: str = "folder"
    title: str = ""
    splits: dict[str, SplitReport] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    hidden: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    next: str = ""

    @property
    def ok(self) -> bool:
        """Whether every file could be read and means something."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"ok": self.ok, **asdict(self)}

    def print(self, console: Console | None = None) -> None:
        """Print tables, notes and problems."""
        console = console or Console()
        console.print(f"[bold]{escape(self.name)}[/] ({escape(self.root)})", soft_wrap=True, highlight=False)
        console.print(f"looks like {escape(self.layout)}: {escape(self.title)}", highlight=False)
        console.print(self._overview())
        for task in dict.fromkeys(name for split in self.splits.values() for name in split.tasks):
            if any(task in split.tasks and split.tasks[task].by_class for split in self.splits.values()):
                console.print(self._class_shares(task))
        for note in self.notes:
            console.print(f"[yellow]note[/] {escape(note)}", soft_wrap=True, highlight=False)
        for problem in self.problems:
            console.print(f"[red]problem[/] {escape(problem)}", soft_wrap=True, highlight=False)
        for kind, count in self.hidden.items():
            console.print(f"[red]problem[/] {escape(kind)}: {count} more of this kind", soft_wrap=True, highlight=False)
        console.print(self._combinations())
        if self.ok:
            console.print("[green]ok[/] every file can be read", highlight=False)
            console.print(f"next: {escape(self.next)}", soft_wrap=True, highlight=False)

    def _overview(self) -> Table:
        table = Table()
        for name in ("split", "images", "task", "labels", "valid", "values"):
            table.add_column(name, no_wrap=True)
        for name, split in self.splits.items():
            sizes = [f"{count} of\n{size}" for size, count in Counter(split.sizes).most_common()]
            sizes[3:] = [f"{len(sizes) - 3} more sizes"] if len(sizes) > 3 else []
            head = [escape(name), "\n".join(sizes) or "none readable"]
            for task_name, task in split.tasks.items():
                valid = "-" if task.valid_share is None else _percent(task.valid_share)
                row = [
                    escape(task_name),
                    f"{task.labels} of {split.images}"
                    + f" + {task.derived} derived" * bool(task.derived)
                    + f"\n{task.predicted} predicted" * bool(task.predicted),
                    valid,
                    escape(_values(task)),
                ]
                table.add_row(*head, *row)
                head = ["", ""]
            table.add_section()
        return table

    def _combinations(self) -> Table:
        table = Table("labels of an image")
        total: Counter[str] = Counter()
        for name, split in self.splits.items():
            table.add_column(escape(name), justify="right")
            total.update(split.combinations)
        columns = [split.combinations for split in self.splits.values()]
        shown = [name for name, _ in total.most_common(MOST)]
        for name in sorted(shown, key=lambda name: name == NONE):
            table.add_row(escape(name), *(str(column.get(name, 0)) for column in columns))
        if len(total) > MOST:
            rest = [sum(count for name, count in column.items() if name not in shown) for column in columns]
            table.add_row(f"{len(total) - MOST} other combinations", *map(str, rest))
        return table

    def _class_shares(self, task: str) -> Table:
        table = Table(f"{escape(task)}: share of valid pixels")
        for split in self.splits:
            table.add_column(escape(split), justify="right")
        columns = [split.tasks[task].values if task in split.tasks else {} for split in self.splits.values()]
        for name in dict.fromkeys(name for column in columns for name in column):
            table.add_row(escape(name), *(_percent(column[name]) if name in column else "" for column in columns))
        return table


def _values(task: TaskReport) -> str:
    if task.by_class:
        return f"{sum(share > 0 for share in task.values.values())} of {len(task.values)} classes"
    if issubclass(TASKS.get(task.type, Task), Depth | Regression):
        return "\n".join(f"{name} {value:.4g}" for name, value in task.values.items())
    return "\n".join(f"{name} {_percent(value)}" for name, value in task.values.items())


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
