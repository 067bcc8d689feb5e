"""Train what is missing, some runs at once, whatever happens to single ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from mtpsl.errors import UserError
from mtpsl.sweep.jobs import BusyError, Job, locked


@runtime_checkable
class Handle(Protocol):
    """A run that an engine has started."""

    def finished(self) -> bool:
        """Whether it has ended."""

    def failure(self) -> str:
        """How it ended, if not well."""


@runtime_checkable
class Engine(Protocol):
    """Where runs are trained; `slots` of them at once."""

    slots: int

    def start(self, job: Job, slot: int) -> Handle:
        """Start a run; BusyError if another process trains it."""

    def stop(self, handles: Sequence[Any]) -> None:
        """Stop runs that it has started."""


@dataclass
class Progress:
    """How far a sweep is; lists hold runs in the order in which things happened to them."""

    waiting: list[Job]
    running: dict[int, Job] = field(default_factory=dict)
    elsewhere: dict[int, Job] = field(default_factory=dict)
    done: list[Job] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def drive(
    jobs: Sequence[Job],
    engine: Engine,
    report: Callable[[Progress], None] = lambda progress: None,
    *,
    pause: float = 0.2,
) -> dict[str, str]:
    """Train jobs to their ends and return what failed: the reason by name.

    A run that another process trains (one that a killed sweep has left, or another sweep's) keeps its place until that
    process has ended, and is then looked at again. If this function is interrupted, it stops what it has started.

    Args:
        jobs: the runs that are not done, in the order in which to start them.
        engine: trains them.
        report: called whenever something may have changed.
        pause: seconds between two looks at what is running.
    """
    progress = Progress(list(jobs))
    handles: dict[int, Handle] = {}
    try:
        while progress.waiting or handles or progress.elsewhere:
            _collect(progress, handles)
            for slot in range(engine.slots):
                if slot not in handles and slot not in progress.elsewhere and progress.waiting:
                    _start(progress, handles, engine, slot)
            report(progress)
            if handles or progress.elsewhere:
                time.sleep(pause)
    finally:
        engine.stop(list(handles.values()))
    return progress.failed


def _start(progress: Progress, handles: dict[int, Handle], engine: Engine, slot: int) -> None:
    job = progress.waiting.pop(0)
    try:
        handles[slot] = engine.start(job, slot)
        progress.running[slot] = job
    except BusyError:
        progress.elsewhere[slot] = job
    except (UserError, OSError) as error:
        progress.failed[job.name] = str(error)


def _collect(progress: Progress, handles: dict[int, Handle]) -> None:
    for slot, handle in list(handles.items()):
        if handle.finished():
            del handles[slot]
            job = progress.running.pop(slot)
            if job.state() == "done":
                progress.done.append(job)
            else:
                ended = handle.failure() or "it ended without scores of its last epoch"
                progress.failed[job.name] = f"{ended}: {job.complaint() or 'nothing printed'} (log: {job.log})"
    for slot, job in list(progress.elsewhere.items()):
        try:
            with locked(job):
                free = True
        except BusyError:
            free = False
        if free:
            del progress.elsewhere[slot]
            if job.state() == "done":
                progress.done.append(job)
            else:
                progress.waiting.insert(0, job)
