"""A disk of its own for a test: one that is filled, or becomes read-only, as no permission stops the root user."""

from __future__ import annotations

import contextlib
import ctypes
import io
import multiprocessing
import os
import pickle
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from mtpsl.cli import main

NEW_MOUNTS, RECURSIVE, PRIVATE, REMOUNT, READ_ONLY = 0x20000, 0x4000, 0x40000, 0x20, 0x1
"""Flags of unshare(2) and mount(2)."""
SIZE = 64 * 2**20
PAGE = os.sysconf("SC_PAGE_SIZE")


class Disk:
    """A file system in memory at `place`, which this process and its children see alone.

    Raises:
        OSError: the system does not let this process mount one.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._call("unshare", NEW_MOUNTS)
        self._mount(b"none", b"/", None, RECURSIVE | PRIVATE)
        place.mkdir(parents=True, exist_ok=True)
        self._mount(b"none", bytes(place), b"tmpfs", 0, f"size={SIZE}".encode())

    def fill(self, left: int = 0) -> None:
        """Leave room for so many bytes, in whole pages."""
        status = os.statvfs(self.place)
        with (self.place / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_bsize - left // PAGE * PAGE)

    def free(self) -> None:
        """Make room again."""
        (self.place / "ballast").unlink()

    def lock(self, locked: bool = True) -> None:
        """Let nothing be written any more, or again."""
        self._mount(b"none", bytes(self.place), b"tmpfs", REMOUNT | READ_ONLY * locked, f"size={SIZE}".encode())

    def _mount(self, source: bytes, target: bytes, kind: bytes | None, flags: int, data: bytes | None = None) -> None:
        self._call("mount", source, target, kind, ctypes.c_ulong(flags), data)

    def _call(self, name: str, *arguments: Any) -> None:
        if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")


def in_child(place: Path, action: Callable[[Disk], Any], pipe: Connection) -> None:
    try:
        result = pickle.dumps((True, action(Disk(place))))  # plainly: torch's own way needs this process to live on
    except BaseException:
        result = pickle.dumps((False, traceback.format_exc()))
    pipe.send_bytes(result)


def on_disk(place: Path, action: Callable[[Disk], Any]) -> Any:
    """What an action returns in a forked process that sees a disk at `place`."""
    here, there = multiprocessing.get_context("fork").Pipe(False)
    process = multiprocessing.get_context("fork").Process(target=in_child, args=(place, action, there))
    process.start()
    there.close()
    try:
        good, result = pickle.loads(here.recv_bytes())
    except EOFError:
        good, result = False, "the process died"
    process.join()
    assert good, result
    return result


@cache
def no_disk(place: Path) -> str | None:
    """Why this process can have no disk of its own, if it cannot."""
    try:
        on_disk(place, lambda disk: None)
    except AssertionError as error:
        return str(error).strip().splitlines()[-1]
    except OSError as error:
        return str(error)
    return None


def need_disk(place: Path) -> None:
    """Skip a test where the system does not let it have a disk."""
    if reason := no_disk(place):
        pytest.skip(f"mounting a disk of its own is not permitted here: {reason}")


def said(words: Sequence[object]) -> tuple[int, list[str]]:
    """The exit status of a command, and the lines on its error stream."""
    error = io.StringIO()
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
        status = main([*map(str, words)])
    return status, [line for line in error.getvalue().splitlines() if line]  # progress leaves an empty one
