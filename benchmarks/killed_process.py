"""Run a command in a forked process and kill it at a moment: after some seconds, or at a change of a folder."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from inotify_simple import INotify, flags

CHANGES = flags.CREATE | flags.MODIFY | flags.DELETE | flags.MOVED_TO
OUT_OF_TIME = 600.0


@dataclass(frozen=True)
class Moment:
    """When to kill: so many seconds after the start, or after the change of this number in the folder."""

    seconds: float | None = None
    change: int | None = None
    delay: float = 0.0

    def __str__(self) -> str:
        """In words."""
        if self.change is None:
            return f"after {self.seconds:.3f} s"
        return f"at change {self.change} of the folder" + (f" + {1e3 * self.delay:.1f} ms" if self.delay else "")


@dataclass(frozen=True)
class Ended:
    """How a process ended: killed (with the file that changed last), or by itself with an exit status."""

    killed: bool
    status: int
    seconds: float
    changes: int
    last: str


class Watch:
    """Counts the changes below a folder, in folders that are made meanwhile, too."""

    def __init__(self, folder: Path) -> None:
        self.inotify, self.places, self.changes, self.last = INotify(), {}, 0, ""
        self.folder = folder
        self.add(folder)

    def add(self, folder: Path) -> None:
        """Watch a folder and those in it."""
        with suppress(OSError):  # gone already
            self.places[self.inotify.add_watch(folder, CHANGES)] = folder
            for inside in folder.iterdir():
                if inside.is_dir():
                    self.add(inside)

    def read(self, milliseconds: int, until: int | None) -> None:
        """Count the changes of the next milliseconds, up to a number."""
        for event in self.inotify.read(timeout=milliseconds):
            path = self.places.get(event.wd, self.folder) / event.name
            if event.mask & flags.ISDIR and event.mask & (flags.CREATE | flags.MOVED_TO):
                self.add(path)
            self.changes += 1
            self.last = path.relative_to(self.folder).as_posix()
            if until is not None and self.changes >= until:
                return


def run(
    function: Callable[[], int], work: Path, log: Path, moment: Moment | None = None, children: bool = True
) -> Ended:
    """Run a function in a forked process with `work` as its folder.

    Args:
        function: what to run; it returns the exit status.
        work: where it runs, and whose changes are counted.
        log: what it prints is appended here.
        moment: when it is killed, if it has not ended before; None for never.
        children: whether the processes that it has started are killed with it.
    """
    watch, begun = Watch(work), time.monotonic()
    process = start(function, work, log)
    change = moment.change if moment else None
    end = begun + (moment.seconds if moment and moment.seconds is not None else OUT_OF_TIME)
    try:
        while not (ended := os.waitpid(process, os.WNOHANG))[0]:
            left = end - time.monotonic()
            if left <= 0 or (change is not None and watch.changes >= change):
                if left <= 0 and (moment is None or moment.seconds is None):
                    raise TimeoutError(f"{log}: no end after {OUT_OF_TIME:.0f} s")
                time.sleep(moment.delay if moment else 0)
                kill(process, children)
                break
            watch.read(max(1, min(20, int(1e3 * left))), change)
        else:
            watch.read(0, None)
            return Ended(False, os.waitstatus_to_exitcode(ended[1]), time.monotonic() - begun, watch.changes, "")
    finally:
        watch.inotify.close()
    return Ended(True, -signal.SIGKILL, time.monotonic() - begun, watch.changes, watch.last)


def start(function: Callable[[], int], work: Path, log: Path) -> int:
    """Fork a process that leads a group of its own; its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        os.setsid()
        os.chdir(work)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        status = function()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status & 255)


def kill(process: int, children: bool = True) -> None:
    """SIGKILL for a process, and for all that it has started; only the process itself is waited for."""
    started = below(process) if children else []
    for number in (process, *started):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    os.waitpid(process, 0)
    while any(alive(number) for number in started):
        time.sleep(0.001)


def below(process: int) -> list[int]:
    """The processes that a process has started, and those that they have, and so on."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [process]
    while todo:
        new = parents.get(todo.pop(), [])
        found += new
        todo += new
    return found


def alive(process: int) -> bool:
    """Whether a process still runs; one that has ended and waits to be asked for does not."""
    with suppress(OSError, IndexError):
        return (Path("/proc") / str(process) / "stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False


def running_in(folder: Path) -> list[int]:
    """The processes whose working folder lies in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "cwd").resolve().is_relative_to(folder) and alive(int(entry.name)):
                    found.append(int(entry.name))
    return found


def words_run(words: Sequence[str]) -> Callable[[], int]:
    """A command of mtpsl as a function."""

    def function() -> int:
        from mtpsl.cli import main

        return main([*words])

    return function


def last_line(log: Path) -> str:
    """The last line of a log."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "nothing printed"
