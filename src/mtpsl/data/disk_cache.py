"""Where copies of data sets lie on a local disk, of what each is, and how much they may take together."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mtpsl.data.base import LabelledDataset
from mtpsl.data.cache import SampleCache
from mtpsl.data.convert.provenance import FILE, Provenance, provenance, read_provenance, write_provenance
from mtpsl.errors import UserError

#: of what is free on a disk copies leave so much
LEFT_FREE = 0.1


def source_of(dataset: LabelledDataset, options: Mapping[str, Any]) -> Provenance:
    """What a copy of a data set is made from; no file is opened.

    Args:
        dataset: its reader.
        options: what the reader was opened with, as plain values.
    """
    roots = getattr(dataset, "roots", [])
    parts = [provenance(root, type(dataset).__name__, {}) for root in roots]
    digest = hashlib.sha256("\n".join(part.fingerprint for part in parts).encode())
    if (description := options.get("description")) and Path(description).is_file():
        digest.update(Path(description).read_bytes())
    keys = hashlib.sha256("\0".join(dataset.keys).encode(errors="surrogateescape")).hexdigest()
    tasks = {name: [type(task).__name__, task.options()] for name, task in dataset.tasks.items()}
    given = json.loads(json.dumps({**options, "tasks": tasks, "keys": keys}, default=repr))
    path = ", ".join(part.path for part in parts) or dataset.name
    return Provenance(path, type(dataset).__name__, given, sum(part.files for part in parts), digest.hexdigest())


def place_of(folder: Path, source: Provenance) -> Path:
    """Where the copy of a source lies in the folder for all, whatever its files hold."""
    what = repr((source.path, source.layout, sorted(source.options.items())))
    return folder / hashlib.sha256(what.encode()).hexdigest()[:16]


def open_copy(place: Path, source: Provenance, rows: int, tasks: list[str], limit: int) -> tuple[SampleCache, str]:
    """The copy at a place, empty if it is new or its source has changed, and what is to be said of it.

    Args:
        place: its folder.
        source: what it is a copy of now.
        rows: how many images that has.
        tasks: the tasks of their labels.
        limit: the bytes that it may take.

    Raises:
        OSError: the place cannot be written.
    """
    place.mkdir(parents=True, exist_ok=True)
    with locked(place):
        try:
            known = read_provenance(place)
        except UserError:  # damaged
            known = None
        said = ""
        if known != source:
            for path in place.iterdir():
                if path.name != LOCK:
                    path.unlink()
            write_provenance(place, source)
            said = "" if known is None else f", made anew: {known.path} has changed since it was made"
        return SampleCache(rows, tasks, limit, place), said


def room_on_disk(folder: Path, limit: float, copies: list[Path]) -> int:
    """Bytes that some of the copies in a folder may take: what the limit leaves beside the others, and the disk has.

    Args:
        folder: where copies lie; it need not exist.
        limit: gigabytes for all of them.
        copies: the places of those meant.
    """
    sizes = {path.name: taken(path) for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else {}
    own = sum(sizes.get(path.name, 0) for path in copies)
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = int(shutil.disk_usage(there).free * (1 - LEFT_FREE))
    return max(0, min(int(limit * 1e9) - (sum(sizes.values()) - own), own + free))


def taken(place: Path) -> int:
    """Bytes of a copy's files."""
    return sum(path.stat().st_size for path in place.iterdir() if path.is_file() and path.name != FILE)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """While no other process opens or empties the copy."""
    with (place / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


#: locked while a copy is opened
LOCK = "lock"
