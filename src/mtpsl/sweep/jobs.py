"""One run of a sweep as a process of its own: where its files lie, what state it is in, how it is started."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import yaml

from mtpsl.errors import UserError
from mtpsl.files import write_text
from mtpsl.training.config import read_options
from mtpsl.training.continued import written
from mtpsl.training.option_groups import by_name
from mtpsl.training.remains import strange_content
from mtpsl.training.run_folder import RunFolder

State = Literal["done", "resume", "new"]
Command = Callable[["Job"], Sequence[str]]

HARMLESS = {
    "data.root",
    "data.description",
    "data.label_cache",
    "data.workers",
    "data.cache",
    "data.cache_folder",
    "data.cache_limit",
    "objective.mapping.checkpoint",
    "training.accelerator",
    "training.sheets",
}
"""Options that may differ from those a run was trained with: they do not change its scores."""


@dataclass(frozen=True)
class Job:
    """A run to train: its name, its folder, its options as config.yaml holds them, and how many epochs those are."""

    name: str
    folder: Path
    config: Mapping[str, Any]
    epochs: int

    @property
    def log(self) -> Path:
        """What its process prints."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def options(self) -> Path:
        """The options that its process is given."""
        return self.folder.with_name(f"{self.folder.name}.yaml")

    @property
    def lock(self) -> Path:
        """Locked by the process that trains it, for as long as that lives."""
        return self.folder.with_name(f"{self.folder.name}.lock")

    def state(self) -> State:
        """Whether it is done, can be continued, or has not begun."""
        if not (self.folder / "config.yaml").is_file():
            return "new"
        return "done" if RunFolder(self.folder).finished() else "resume"

    def epochs_done(self) -> int:
        """How many epochs its history holds."""
        try:
            return max(0, (self.folder / "metrics.csv").read_text(encoding="utf-8").count("\n") - 1)
        except OSError:
            return 0

    def complaint(self) -> str:
        """The last line that its process printed."""
        with suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return lines[-1].strip().removeprefix("mtpsl: ") if lines else ""
        return ""


def train_command(job: Job) -> list[str]:
    """`mtpsl train`, from its options or from where the run stopped (where its data lies now, and so on)."""
    command = [sys.executable, "-m", "mtpsl", "train"]
    if job.state() == "resume":
        before, now = by_name(read_options(job.folder / "config.yaml")), by_name(job.config)
        changed = [f"--{name}={written(now[name])}" for name in HARMLESS & {*now} if before.get(name) != now[name]]
        return [*command, "--resume", str(job.folder), "--quiet", *sorted(changed)]
    return [*command, str(job.options), "--out", str(job.folder), "--quiet"]


class BusyError(Exception):
    """Another process trains this run."""


@contextmanager
def locked(job: Job) -> Iterator[IO[str]]:
    """Hold a run's lock; a child process that inherits the file holds it on, whatever becomes of this one.

    Raises:
        BusyError: another process holds it.
    """
    job.lock.parent.mkdir(parents=True, exist_ok=True)
    with job.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(job.name) from error
        yield file


def start(job: Job, variables: Mapping[str, str], command: Command = train_command) -> subprocess.Popen[bytes] | None:
    """Start a run's process; None where it turns out to be done.

    The process leads a group of its own, so that it and all that it starts can be stopped together, and it inherits
    the run's lock, which therefore lasts exactly as long as it does.

    Raises:
        BusyError: another process trains this run.
        UserError: something else lies in its folder.
    """
    with locked(job) as lock:
        if job.state() == "done":
            return None
        if job.state() == "new":
            require_new(job.folder)
            write_text(job.options, yaml.safe_dump(dict(job.config), sort_keys=False))
        with job.log.open("ab") as log:
            return subprocess.Popen(
                command(job),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **variables},
                pass_fds=[lock.fileno()],
                process_group=0,
            )


def require_new(folder: Path) -> None:
    """Refuse a path that is something else than the folder of a run, begun or not.

    Raises:
        UserError: it is.
    """
    if strange := strange_content(folder):
        raise UserError(f"{folder} should be the folder of a run, but holds {strange[0].name}: move it away")
