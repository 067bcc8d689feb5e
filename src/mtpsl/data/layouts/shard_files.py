"""Shards as files, of which a few are open at a time."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtpsl.data.layouts.shard_index import INDEX, shard_name
from mtpsl.errors import UserError
from mtpsl.files import read_part


class LocalShards:
    """The shards of a split in a folder.

    Args:
        root: the folder.
        split: which split.
        lengths: the bytes of each shard.
        most: so many are kept open.

    Raises:
        UserError: one is missing or has another length.
    """

    def __init__(self, root: Path, split: str, lengths: Sequence[int], *, most: int) -> None:
        self.root, self.split, self.lengths, self.most = root, split, lengths, most
        self._opened: OrderedDict[int, int] = OrderedDict()
        self.check()

    def check(self) -> None:
        """Require every shard with its length."""
        for number, length in enumerate(self.lengths):
            path = self.path(number)
            found = path.stat().st_size if path.is_file() else None
            if found != length:
                raise UserError(
                    f"{path}: should have {length} bytes as {self.split}{INDEX} says, "
                    f"{'but is missing' if found is None else f'not {found}'}: copy it again, or convert the source "
                    "again"
                )

    def path(self, number: int) -> Path:
        """The file of a shard."""
        return self.root / shard_name(self.split, number)

    def read(self, number: int, start: int, end: int) -> bytes:
        """Some bytes of a shard.

        Raises:
            UserError: it cannot be read so far.
        """
        path = self.path(number)
        try:
            handle = self._handle(number)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        return read_part(handle, path, start, end)

    @property
    def opened(self) -> int:
        """How many shards are open in this process."""
        return len(self._opened)

    def open(self, number: int) -> int:
        """The number of an open file, which is a shard."""
        return os.open(self.path(number), os.O_RDONLY)

    def _handle(self, number: int) -> int:
        if number not in self._opened:
            self._opened[number] = self.open(number)
            if len(self._opened) > self.most:
                os.close(self._opened.popitem(last=False)[1])
        self._opened.move_to_end(number)
        return self._opened[number]

    def __getstate__(self) -> dict[str, Any]:
        # numbers of open files mean nothing to a process that is started
        return {**self.__dict__, "_opened": OrderedDict()}

    def __del__(self) -> None:
        for handle in self.__dict__.get("_opened", {}).values():
            os.close(handle)
