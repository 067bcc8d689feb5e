"""Which process of a training this one is, as its environment says: known before anything heavy is imported."""

import os


def launched_first() -> bool:
    """Whether this is the first of all processes.

    torchrun says so in RANK, SLURM in SLURM_PROCID, Lightning in NODE_RANK and LOCAL_RANK.
    """
    names = ("RANK",) if "RANK" in os.environ else ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in names)


def launched_first_here() -> bool:
    """Whether this is the first on its machine, which what started the others looks at."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "SLURM_LOCALID"))
