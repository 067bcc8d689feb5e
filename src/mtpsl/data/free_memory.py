"""How much memory a process may still take."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

#: where each version of Linux' control groups says limit, use, and (in memory.stat) what of the use can be given back
CGROUP_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def free_memory(processes: int = 1) -> int | None:
    """Bytes that this process may still take, of `processes` that share a machine; None where the system says nothing.

    The least of a share of what is free on the machine, a share of what the control groups (containers, cluster jobs)
    leave, and this process' own limit of address space (`ulimit -v`).
    """
    shared = [machine_memory(), *cgroup_memory()]
    amounts = [amount // processes for amount in shared if amount is not None]
    if (own := own_memory()) is not None:
        amounts.append(own)
    return max(0, min(amounts)) if amounts else None


def machine_memory() -> int | None:
    """What new work on this machine may take without swapping; all memory where the system says only that."""
    if sys.platform == "win32":
        return windows_memory()
    for line in read_system_file(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def own_memory() -> int | None:
    """What the process' limit of address space leaves; None without a limit."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = read_system_file(Path("/proc/self/statm")).split()
    if limit == resource.RLIM_INFINITY or not pages:
        return None
    return limit - int(pages[0]) * resource.getpagesize()


def cgroup_memory(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """What every control group with a limit that this process is in leaves."""
    for line in read_system_file(own).splitlines():
        number, controllers, name = line.split(":", 2)
        if number != "0" and "memory" not in controllers.split(","):
            continue
        version, top = (2, root) if number == "0" else (1, root / "memory")
        limit_file, use_file, cache_name = CGROUP_FILES[version]
        path = PurePosixPath(name.lstrip("/") or ".")
        for folder in {top / place for place in (path, *path.parents)}:
            limit, use = read_system_file(folder / limit_file).strip(), read_system_file(folder / use_file).strip()
            if limit.isdigit() and use.isdigit():
                stat = dict(entry.split() for entry in read_system_file(folder / "memory.stat").splitlines())
                yield int(limit) - int(use) + int(stat.get(cache_name, 0))


def windows_memory() -> int | None:
    """Physical memory that is free on Windows."""
    if sys.platform != "win32":
        return None

    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *(
                (name, ctypes.c_ulonglong)
                for name in ("total", "free", "pages", "free_pages", "space", "left", "extra")
            ),
        ]

    status = Status(length=ctypes.sizeof(Status))
    return int(status.free) if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def read_system_file(path: Path) -> str:
    """A text file of the system; empty where it has none."""
    try:
        return path.read_text()
    except OSError:
        return ""
