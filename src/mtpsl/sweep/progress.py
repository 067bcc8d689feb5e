"""How far a sweep is, on a terminal as a bar, elsewhere as a line whenever a run ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from mtpsl.sweep import drive
from mtpsl.sweep.jobs import Job

LOOK = 2.0
"""Seconds between two looks at the histories of running runs."""


class SweepDisplay:
    """Shows what `drive` reports; time left is estimated from the epochs trained so far.

    Args:
        jobs: the runs to train.
        console: where to show it.
        clock: seconds since some moment.
    """

    def __init__(self, jobs: list[Job], console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.jobs, self.console, self.clock = jobs, console, clock
        self.started, self.looked = clock(), -LOOK
        self.before = sum(min(job.epochs_done(), job.epochs) for job in jobs)
        self.total = sum(job.epochs for job in jobs)
        self.reported: set[str] = set()
        self.awaited: set[str] = set()
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> SweepDisplay:
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[counts]}"))
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task("epochs", total=self.total, counts="")
            self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        if self.bar:
            self.bar.stop()

    def __call__(self, progress: drive.Progress) -> None:
        """Show the state of a sweep."""
        ended = [(job.name, "done") for job in progress.done]
        ended += [(name, f"FAILED, {reason}") for name, reason in progress.failed.items()]
        for name, text in ended:
            if name not in self.reported:
                self.reported.add(name)
                self._line(f"{name}: {text} ({len(self.reported)} of {len(self.jobs)}{self._left(' left')})")
        for job in progress.elsewhere.values():
            if job.name not in self.awaited:
                self.awaited.add(job.name)
                self._line(f"{job.name}: another process trains it; waiting for that")
        if self.bar and self.task is not None and self.clock() - self.looked >= LOOK:
            self.looked = self.clock()
            counts = f"{len(progress.done)} done, {len(progress.failed)} failed, {len(progress.running)} running"
            more = f", {len(progress.elsewhere)} elsewhere" if progress.elsewhere else ""
            self.bar.update(self.task, completed=self._epochs(), counts=counts + more + self._left(" left"))

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _epochs(self) -> int:
        return sum(min(job.epochs_done(), job.epochs) for job in self.jobs)

    def _left(self, suffix: str) -> str:
        """`, 0:12:00 left`, once there is something to estimate it from."""
        now = self._epochs()
        if now <= self.before or now >= self.total:
            return ""
        seconds = (self.clock() - self.started) / (now - self.before) * (self.total - now)
        return f", {timedelta(seconds=round(seconds))}{suffix}"
