"""Bytes by number that processes share: in memory, or in a file that later runs find again."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import context, reduction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

#: length and checksum before the bytes of an entry
HEAD = struct.Struct("<QI4x")
#: numbers before those of the entries: where the next one goes, and whether one did not fit
_END, _FULL, _FIRST = 0, 1, 2


class Store:
    """Entries that are written once, by any of the processes that share it, and read by all.

    The processes are those forked or spawned later; of one on disk also others. A process killed in the middle of an
    entry leaves it unwritten; an entry on disk that was damaged counts as unwritten.

    Args:
        entries: how many there may be.
        limit: the bytes that all entries may take.
        folder: where the files `index` and `data` lie; by default the store is in memory and vanishes with the last
            process. What `folder` holds of as many entries is kept.

    Raises:
        OSError: the folder cannot be written.

    >>> store = Store(2, 100)
    >>> store.write(1, b"some bytes"), store.read(1), store.read(0)
    (True, b'some bytes', None)
    """

    def __init__(self, entries: int, limit: int, folder: Path | None = None) -> None:
        self.entries, self.limit, self.folder = entries, limit, folder
        self.failure: str | None = None
        length = (_FIRST + entries) * 8
        if folder is None:
            self._index, self._data = anonymous_file("index"), anonymous_file("data")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._index, self._data = (os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666) for name in NAMES)
        if os.fstat(self._index).st_size != length:
            os.ftruncate(self._data, 0)
            os.ftruncate(self._index, 0)
            allocate(self._index, length)
        self._map()
        self._table[_FULL] = 0

    def __contains__(self, entry: int) -> bool:
        return bool(self._table[_FIRST + entry])

    @property
    def full(self) -> bool:
        """Whether something did not fit: nothing is added any more, so that memory does not grow on."""
        return bool(self._table[_FULL])

    @property
    def used(self) -> int:
        """Bytes of the entries."""
        return int(self._table[_END])

    def read(self, entry: int) -> bytes | None:
        """An entry; None if it is not there."""
        place = int(self._table[_FIRST + entry]) - 1
        if place < 0:
            return None
        head = os.pread(self._data, HEAD.size, place)
        if len(head) < HEAD.size:
            return None
        length, checksum = HEAD.unpack(head)
        content = os.pread(self._data, length, place + HEAD.size) if length <= self.used else b""
        sound = len(content) == length and (self.folder is None or checksum_of(content) == checksum)
        return content if sound else None

    def write(self, entry: int, content: bytes) -> bool:
        """Keep an entry, unless it is full; whether it is kept.

        A disk that is full counts as the limit; `failure` says so in the process that found it.
        """
        length = HEAD.size + len(content)
        with self._locked():
            place = self.used
            if self.full or place + length > self.limit:
                self._table[_FULL] = 1
                return False
            self._table[_END] = place + length
        try:
            write_all(self._data, HEAD.pack(len(content), checksum_of(content)) + content, place)
        except OSError as error:
            self._table[_FULL] = 1
            self.failure = error.strerror or str(error)
            return False
        with self._locked():  # whoever sees the number sees the bytes
            self._table[_FIRST + entry] = place + 1
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._index, fcntl.LOCK_EX, 1)
        try:
            yield
        finally:
            fcntl.lockf(self._index, fcntl.LOCK_UN, 1)

    def _map(self) -> None:
        self._mapped = mmap.mmap(self._index, (_FIRST + self.entries) * 8)
        self._table: Int[np.ndarray, " n"] = np.frombuffer(self._mapped, np.int64)

    def __getstate__(self) -> dict[str, Any]:
        if context.get_spawning_popen() is None:
            raise TypeError("a store is handed to processes that are started, not pickled")
        state = {name: value for name, value in self.__dict__.items() if name not in ("_mapped", "_table")}
        return {**state, **{name: reduction.DupFd(state[name]) for name in ("_index", "_data")}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._index, self._data = (state[name].detach() for name in ("_index", "_data"))
        self._map()

    def __del__(self) -> None:
        for name in ("_index", "_data"):
            if isinstance(handle := self.__dict__.get(name), int):
                os.close(handle)


#: the files of a store on disk
NAMES = ("index", "data")


def checksum_of(content: bytes) -> int:
    """Never that of the zeros in a hole of a file: 0 bytes with the checksum 0."""
    return zlib.crc32(content, 1)


def anonymous_file(name: str) -> int:
    """The number of an open file without a place: in memory, or where the system cannot do that, on its disk."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(f"mtpsl {name}")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def allocate(handle: int, length: int) -> None:
    """Give a file its length in zeros, whose place is taken at once: writing to a map of it cannot fail later.

    Raises:
        OSError: there is no place.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, length)
    else:
        os.ftruncate(handle, length)


def write_all(handle: int, content: bytes, place: int) -> None:
    """Write bytes at a place in a file.

    Raises:
        OSError: they do not fit.
    """
    left = memoryview(content)
    while left:
        written = os.pwrite(handle, left, place)
        left, place = left[written:], place + written
