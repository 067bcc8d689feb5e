"""Keep memory between steps."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameters of glibc's mallopt(3)."""


def keep_freed_memory() -> bool:
    """Tell the C library not to hand freed buffers back to the system; whether it listened.

    Training on the CPU frees and asks for the same large buffers in every step. glibc maps each of them anew, and the
    system clears every page: steps are slower, on virtual machines now and then several times.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 2**26}
    return all(mallopt(parameter, value) == 1 for parameter, value in settings.items())
