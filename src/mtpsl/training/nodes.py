"""The processes of a training: who started them, on which nodes, and which one writes the run."""

from __future__ import annotations

import os
import time
from pathlib import Path

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from mtpsl.errors import UserError
from mtpsl.processes import is_main_process
from mtpsl.training.settings import TrainingSettings

PATIENCE = 600.0
"""Seconds that a process waits for what the first one writes."""


def writes_run(training: TrainingSettings) -> bool:
    """Whether this process writes the run folder: the first of its processes, over all nodes."""
    return training.processes == 1 or is_main_process()


def started_by_slurm() -> bool:
    """Whether `srun` started this process, and not as an interactive shell."""
    return "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive")


def check_processes(training: TrainingSettings) -> None:
    """Refuse settings that do not fit what was started: processes would wait for others that never come.

    Raises:
        UserError: SLURM or torchrun started another number of processes, or nobody starts those of other nodes.
    """
    by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    by_slurm = started_by_slurm() and training.processes > 1 and not by_torchrun
    asked = f"training.devices {training.devices} on training.num_nodes {training.num_nodes}"
    if by_torchrun or by_slurm:
        who, name = ("torchrun", "WORLD_SIZE") if by_torchrun else ("SLURM", "SLURM_NTASKS")
        cure = "--nnodes and --nproc_per_node" if by_torchrun else "--nodes and --ntasks-per-node, and srun"
        if int(os.environ[name]) != training.processes:
            raise UserError(
                f"{asked} are {training.processes} processes, but {who} started {os.environ[name]}: give it the same "
                f"numbers ({cure})"
            )
    elif training.num_nodes > 1 and not {"MASTER_ADDR", "NODE_RANK"} <= os.environ.keys():
        raise UserError(
            f"{asked}: start the command on every node with srun, with torchrun, or with MASTER_ADDR, MASTER_PORT and "
            "NODE_RANK in its environment"
        )


def own_environment() -> list[SLURMEnvironment]:
    """Under SLURM its environment without Lightning's own answer to signals: a run saves and ends, then is requeued."""
    if not started_by_slurm() or "TORCHELASTIC_RUN_ID" in os.environ:
        return []
    try:
        return [SLURMEnvironment(auto_requeue=False)]
    except RuntimeError as error:
        raise UserError(f"SLURM: {error}") from error


def wait_for(file: Path) -> None:
    """Wait for a file that the first process writes.

    Raises:
        UserError: it does not come.
    """
    end = time.monotonic() + PATIENCE
    while not file.is_file():
        if time.monotonic() > end:
            raise UserError(f"{file}: the first process has not written it; it has to lie where all nodes see it")
        time.sleep(0.05)
