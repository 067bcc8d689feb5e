"""Runs on this machine: some at once, with its GPUs or cores shared out among them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mtpsl.sweep.jobs import Command, Job, start, train_command

MEMORY_PER_RUN = 2 * 2**30
"""Bytes that a run on the CPU is expected to need, for the number of runs at once."""
GRACE = 10.0
"""Seconds that a run has to stop when asked, before it is killed."""


@dataclass(frozen=True)
class Machine:
    """What there is to share out: processor cores, bytes of free memory, and GPUs by the names CUDA knows them by."""

    cores: int
    memory: int
    gpus: tuple[str, ...] = ()

    def jobs(self, processes: int = 1) -> int:
        """How many runs of so many processes to train at once: one per GPU, or per core as far as memory goes."""
        if self.gpus:
            return max(1, len(self.gpus) // processes)
        return max(1, min(self.cores // processes, self.memory // (MEMORY_PER_RUN * processes)))

    def variables(self, slot: int, jobs: int, processes: int = 1) -> dict[str, str]:
        """The environment of the run in one of `jobs` slots: its threads and its GPUs."""
        threads = str(max(1, self.cores // (jobs * processes)))
        share = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        if self.gpus:
            mine = dict.fromkeys(self.gpus[(slot * processes + i) % len(self.gpus)] for i in range(processes))
            share["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
        return share


def this_machine(*, gpus: bool = True) -> Machine:
    """The cores that this process may use, the memory that is free, and (if wanted) the GPUs that it may see."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # not known on every system
        memory = cores * MEMORY_PER_RUN
    if not gpus:
        return Machine(cores, memory)
    import torch

    count = torch.cuda.device_count()
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return Machine(cores, memory, tuple(visible[:count] or map(str, range(count))))


class LocalHandle:
    """A process that trains a run."""

    def __init__(self, process: subprocess.Popen[bytes] | None) -> None:
        self.process = process

    def finished(self) -> bool:
        """Whether it has ended."""
        return self.process is None or self.process.poll() is not None

    def failure(self) -> str:
        """How it ended, if not well."""
        code = 0 if self.process is None else self.process.returncode
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}" if code else ""


class LocalEngine:
    """Starts a process per run; `slots` at once.

    Args:
        machine: what to share out.
        jobs: how many runs at once; by default as many as the machine allows.
        processes: processes of a run (`training.devices`).
        command: what to start for a run.
    """

    def __init__(
        self, machine: Machine, *, jobs: int | None = None, processes: int = 1, command: Command = train_command
    ) -> None:
        self.machine, self.processes, self.command = machine, processes, command
        self.slots = machine.jobs(processes) if jobs is None else jobs

    def start(self, job: Job, slot: int) -> LocalHandle:
        """Start a run.

        Raises:
            BusyError: another process trains it.
        """
        return LocalHandle(start(job, self._variables(slot), self.command))

    def _variables(self, slot: int) -> Mapping[str, str]:
        return self.machine.variables(slot, self.slots, self.processes)

    def stop(self, handles: Sequence[LocalHandle]) -> None:
        """Stop runs and what they started; asked first, killed if they do not listen."""
        running = [handle.process for handle in handles if handle.process and not handle.finished()]
        for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
            for process in running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            end = time.monotonic() + seconds
            while running and time.monotonic() < end:
                running = [process for process in running if process.poll() is None]
                time.sleep(0.05)
