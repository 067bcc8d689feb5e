"""How the C library hands out memory, and what is said where there is none left."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mtpsl.errors import UserError, lacks_memory

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameters of glibc's mallopt(3)."""


def keep_freed_memory() -> bool:
    """Tell the C library not to hand freed buffers back to the system; whether it listened.

    Training on the CPU frees and asks for the same large buffers in every step. glibc maps each of them anew, and the
    system clears every page: steps are slower, on virtual machines now and then several times.
    """
    return mallopt({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 2**26})


def mallopt(settings: dict[int, int]) -> bool:
    """Set parameters of glibc's malloc; whether there is one, and it took them."""
    if not sys.platform.startswith("linux"):
        return False
    call = getattr(ctypes.CDLL(None), "mallopt", None)
    if call is None:  # another C library
        return False
    return all(call(parameter, value) == 1 for parameter, value in settings.items())


@contextmanager
def memory_needed(cure: str) -> Iterator[None]:
    """Turn a lack of memory, of the machine or of an accelerator, into one line that says what needs less.

    Raises:
        UserError: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        text = str(error)
        raise UserError(
            f"there is not enough memory ({text.split(' Error code')[0] or 'MemoryError'}): {cure}"
        ) from error
