"""The error that a user can cause, and which errors are a lack of memory."""


class UserError(ValueError):
    """Something handed over by a user is wrong: one line that names it, says what is required and how to cure it.

    The command line prints it without a traceback and exits with 2.
    """


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


class LayoutError(UserError):
    """A folder is not a data set of the layout that it is opened as.

    Args:
        problem: what is missing, with the path.
        cure: what to do if the folder has no other known layout either.
    """

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(f"{problem}: {cure}")
        self.problem, self.cure = problem, cure
