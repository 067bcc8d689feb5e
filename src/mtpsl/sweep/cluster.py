"""Runs as jobs of a Slurm cluster, through submitit."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from mtpsl.errors import UserError
from mtpsl.sweep.jobs import BusyError, Job, start

WAIT = 30.0
"""Seconds between two looks at a run that another process trains."""


@dataclass(frozen=True)
class ClusterSettings:
    """What a run asks the cluster for.

    Args:
        partition: the Slurm partition; by default the cluster's own.
        account: the account to charge.
        hours: the longest that a run may take; one that takes longer is continued in a new job.
        gpus: GPUs per run.
        cpus: processor cores per run.
        memory: GiB per run; by default what the cluster gives.
        kind: `slurm`, or `local` to try a sweep out on this machine.
    """

    partition: str | None = None
    account: str | None = None
    hours: float = 24.0
    gpus: int = 1
    cpus: int = 4
    memory: float | None = None
    kind: str = "slurm"

    def parameters(self) -> dict[str, Any]:
        """As submitit's executor takes them."""
        wanted = {
            "name": "mtpsl",
            "nodes": 1,
            "tasks_per_node": 1,
            "timeout_min": max(1, round(self.hours * 60)),
            "gpus_per_node": self.gpus,
            "cpus_per_task": self.cpus,
            "mem_gb": self.memory,
            "slurm_partition": self.partition,
            "slurm_account": self.account,
        }
        if self.kind == "local":
            return {"timeout_min": wanted["timeout_min"]}
        return {name: value for name, value in wanted.items() if value is not None}


class TrainJob:
    """What runs on the cluster's machine: the process that trains a run."""

    def __init__(self, job: Job, cpus: int) -> None:
        self.job, self.cpus = job, cpus
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Train to the end and return the exit status; another job of the same run is waited for."""
        for name in list(os.environ):  # or Lightning would look for further processes of this Slurm job
            if name.startswith("SLURM_"):
                del os.environ[name]
        while True:
            try:
                self.process = start(self.job, {"OMP_NUM_THREADS": str(self.cpus)})
                return self.process.wait() if self.process else 0
            except BusyError:
                time.sleep(WAIT)

    def checkpoint(self) -> Any:
        """Called by submitit when the job is preempted or out of time: a new job continues the run."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        return import_module("submitit").helpers.DelayedSubmission(TrainJob(self.job, self.cpus))


class ClusterHandle:
    """A submitted run."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def finished(self) -> bool:
        """Whether the job has ended."""
        return bool(self.job.done())

    def failure(self) -> str:
        """How it ended, if not well."""
        error = self.job.exception()
        if error is not None:
            last = (str(error).strip().splitlines() or [""])[-1]
            return f"job {self.job.job_id} {self.job.state}: {last}"
        code = self.job.result()
        return f"exit status {code}" if code else ""


class ClusterEngine:
    """Submits a job per run.

    Args:
        folder: where submitit keeps its files; on a file system that the cluster's machines share.
        settings: what a run asks for.
        jobs: how many runs to have submitted at a time.

    Raises:
        UserError: submitit is not installed, or there is no Slurm here.
    """

    def __init__(self, folder: Path, settings: ClusterSettings, *, jobs: int) -> None:
        try:
            submitit = import_module("submitit")
        except ImportError as error:
            raise UserError("--engine submitit needs a package: pip install 'mtpsl[cluster]'") from error
        self.settings, self.slots = settings, jobs
        try:
            self.executor = submitit.AutoExecutor(folder=folder, cluster=settings.kind)
            self.executor.update_parameters(**settings.parameters())
        except (ValueError, RuntimeError) as error:
            raise UserError(f"--engine submitit: {' '.join(str(error).split())}") from error

    def start(self, job: Job, slot: int) -> ClusterHandle:
        """Submit a run.

        Raises:
            UserError: the cluster does not take it.
        """
        try:
            return ClusterHandle(self.executor.submit(TrainJob(job, self.settings.cpus)))
        except Exception as error:  # whatever sbatch says, in a class of submitit's
            raise UserError(f"not submitted: {' '.join(str(error).split())}") from error

    def stop(self, handles: Sequence[ClusterHandle]) -> None:
        """Cancel jobs."""
        for handle in handles:
            if not handle.finished():
                handle.job.cancel()
