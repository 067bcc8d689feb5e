"""Shards that lie elsewhere: fetched when they are first read, of which a few have copies here at a time."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mtpsl.data.layouts.shard_files import LocalShards
from mtpsl.data.layouts.shard_index import shard_name
from mtpsl.errors import UserError


class FetchedShards(LocalShards):
    """The shards of a split at an address; WebDataset fetches them, and removes the oldest copies.

    One process at a time fetches, so that those that read together fetch a shard once.

    Args:
        url: the address of their folder.
        folder: where all copies lie; those of this address get a folder there.
        split: which split.
        lengths: the bytes of each shard.
        most: so many are kept open.
        limit: the bytes that copies may take.

    Raises:
        UserError: copies of the shards that are read at a time do not fit.
    """

    def __init__(self, url: str, folder: Path, split: str, lengths: Sequence[int], *, most: int, limit: int) -> None:
        self.url, self.limit = url.rstrip("/"), limit
        super().__init__(
            folder / f"shards-{hashlib.sha256(self.url.encode()).hexdigest()[:16]}", split, lengths, most=most
        )

    def check(self) -> None:
        """Require room for the shards that are read at a time, and one more."""
        needed = min(self.most + 1, len(self.lengths)) * max(self.lengths)
        if needed > self.limit:
            raise UserError(
                f"data.cache_limit leaves {self.limit / 1e9:.2g} GB for copies of shards, but those read at a time "
                f"take {needed / 1e9:.2g} GB: raise it, or lower --data.window"
            )

    def open(self, number: int) -> int:
        """Open a copy, fetched if it is not there: once open it can be read even when it is removed.

        Raises:
            UserError: it cannot be fetched, or is another one than the index says.
        """
        with self._locked():
            path = self.path(number)
            if not path.is_file() or path.stat().st_size != self.lengths[number]:
                path.unlink(missing_ok=True)
                self._fetch(number)
            return super().open(number)

    def _fetch(self, number: int) -> None:
        url, path = f"{self.url}/{shard_name(self.split, number)}", self.path(number)
        try:
            self._download(url)
        except UserError:
            # a signal that asks all processes to end stops curl, too, but training goes on to its checkpoint
            self._download(url)
        if path.stat().st_size != self.lengths[number]:
            found = path.stat().st_size
            path.unlink()
            raise UserError(
                f"{url}: should have {self.lengths[number]} bytes as {self.split}.index says, not {found}: copy it "
                "there again"
            )

    def _download(self, url: str) -> None:
        from webdataset.cache import FileCache

        before = max(self.limit - max(self.lengths), 1)
        try:
            FileCache(str(self.root), cache_size=before, cache_cleanup_interval=0).get_file(url)
        except Exception as error:  # those of pipes, processes and files
            raise UserError(f"{url}: cannot be fetched ({' '.join(str(error).split())})") from error
        finally:
            for part in self.root.glob("*.temp*"):
                part.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with self.root.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
