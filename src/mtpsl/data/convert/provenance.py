"""What a converted data set was made from, so that a change of the source is noticed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mtpsl.errors import UserError
from mtpsl.files import write_text

FILE = "source.json"
#: folders of labels that a reader computed and keeps within the source
CACHES = {"mtpsl_cache"}


@dataclass(frozen=True)
class Provenance:
    """The source of a converted set: where, which layout, with which options, and its files' sizes and times."""

    path: str
    layout: str
    options: dict[str, Any]
    files: int
    fingerprint: str = field(repr=False)

    def difference(self, other: Provenance) -> str | None:
        """What tells the source now (`other`) from the one that was converted."""
        if (self.path, self.layout) != (other.path, other.layout):
            return f"from another data set, {self.path} ({self.layout})"
        if self.options != other.options:
            changed = [name for name in other.options if self.options.get(name) != other.options[name]]
            return f"from {self.path} with other options: {', '.join(changed)}"
        if self.fingerprint != other.fingerprint:
            counts = "" if self.files == other.files else f" ({self.files} files then, {other.files} now)"
            return f"from {self.path}, which has changed since{counts}"
        return None


def provenance(root: Path, layout: str, options: dict[str, Any]) -> Provenance:
    """Look at a source: names, sizes and times of its files (not hidden ones and caches), none of which is opened.

    Of the options, `description` is a file beside the source: what it says counts, too.
    """
    root = root.resolve()
    digest, count = hashlib.sha256(), 0
    if description := options.get("description"):
        with suppress(OSError):
            digest.update(Path(description).read_bytes() + b"\0")
    for name, size, time in files_of(root):
        digest.update(f"{name}\0{size}\0{time}\n".encode(errors="surrogateescape"))
        count += 1
    return Provenance(str(root), layout, json.loads(json.dumps(options)), count, digest.hexdigest())


def files_of(root: Path) -> Iterator[tuple[str, int, int]]:
    """Relative path, size and time of change (in ns) of every file, in a fixed order; folders may be linked."""
    if root.is_file():
        status = root.stat()
        yield root.name, status.st_size, status.st_mtime_ns
    entered: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:  # a link to a folder around it
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in CACHES)
        for name in sorted(name for name in files if not name.startswith(".")):
            path = os.path.join(folder, name)
            try:
                status = os.stat(path)
            except OSError:  # a link to nothing, which readers may do without
                continue
            yield os.path.relpath(path, root), status.st_size, status.st_mtime_ns


def write_provenance(folder: Path, source: Provenance) -> None:
    """Remember it in a converted set."""
    write_text(folder / FILE, json.dumps(asdict(source), indent=2))


def read_provenance(folder: Path) -> Provenance | None:
    """What a converted set was made from; None if the folder is none.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        known = Provenance(**json.loads(path.read_text(encoding="utf-8")))
        if not (isinstance(known.path, str) and isinstance(known.layout, str) and isinstance(known.options, dict)):
            raise TypeError
        return known
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: is damaged: convert the data set again into a new folder") from error


def changed_source(folder: Path) -> str | None:
    """A line that says so if a folder is a converted set whose source is still there, but has changed."""
    known = read_provenance(folder)
    if known is None or not Path(known.path).exists():
        return None
    difference = known.difference(provenance(Path(known.path), known.layout, known.options))
    return (
        None
        if difference is None
        else f"{folder} was converted {difference}: convert again into a new folder, or with --force"
    )
