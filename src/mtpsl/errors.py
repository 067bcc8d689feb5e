"""The error that a user can cause, which errors are a lack of memory, and what is said of those of the system."""

from __future__ import annotations

import errno
from pathlib import Path


class UserError(ValueError):
    """Something handed over by a user is wrong: one line that names it, says what is required and how to cure it.

    The command line prints it without a traceback and exits with 2.
    """


class DataError(UserError):
    """An image or a label cannot be read in the middle of work, which can go on once that is mended."""


class StoppedError(UserError):
    """Training was asked to end by a signal, and has saved what is needed to continue.

    The command line prints it without a traceback and exits with 75 (EX_TEMPFAIL of sysexits.h: try again).
    """

    status = 75


def lacks_memory(error: Exception) -> bool:
    """Whether an error says that the machine or an accelerator has no memory left; torch has no class for the CPU's.

    >>> [lacks_memory(error) for error in (MemoryError(), RuntimeError("CUDA out of memory."), OSError("memory"))]
    [True, True, False]
    """
    said = isinstance(error, RuntimeError) and any(x in str(error) for x in ("allocate memory", "out of memory"))
    return isinstance(error, MemoryError) or said


CURES = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room within your quota",
    errno.EFBIG: "its file system, or `ulimit -f`, allows no larger file",
    errno.EROFS: "its file system has to be mounted for writing",
    errno.EACCES: "change its permissions, or those of its folder",
    errno.EPERM: "change its permissions, or those of its folder",
}
"""What cures an error of the system, by its number."""


def refusal(error: OSError, file: Path | None = None) -> str:
    """What the system refuses: the file, why, and what cures it.

    Args:
        error: the system's.
        file: what is named where the error names none.

    >>> refusal(OSError(errno.ENOSPC, "No space left on device", "run/last.ckpt"))
    'run/last.ckpt: No space left on device: make room on its disk'
    """
    return f"{error.filename or file or 'file'}: {reason(error)}"


def reason(error: OSError) -> str:
    """Why the system refuses something, and what cures it."""
    cure = CURES.get(error.errno or 0)
    return f"{error.strerror or error}" + (f": {cure}" if cure else "")


class LayoutError(UserError):
    """A folder is not a data set of the layout that it is opened as.

    Args:
        problem: what is missing, with the path.
        cure: what to do if the folder has no other known layout either.
    """

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(f"{problem}: {cure}")
        self.problem, self.cure = problem, cure
