"""Labels that are computed from other files: computed once, kept as PNG, and again when their source changes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mtpsl.errors import UserError
from mtpsl.files import write_atomically, write_text
from mtpsl.progress import LateProgress

#: part of every entry: a change of what is computed makes all entries stale
VERSION = 1
#: seconds between two writings of the list while many files are looked through
SAVE_EVERY = 2.0

Plane = UInt8[np.ndarray, "h w"]


class DerivedLabels:
    """A folder of computed labels, `<folder>/<kind>/<key>.png`, and lists of which exist, `<folder>/<kind>.json`.

    Every entry carries its source's size and time of change. Whatever is missing, damaged or older than its source is
    computed again; every file appears whole or not at all, so several processes may share the folder.

    Args:
        folder: where the labels are kept; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, kind: str, key: str, source: Path, derive: Callable[[Path], Plane | None]) -> Plane:
        """A label, computed if it is not there.

        Raises:
            UserError: the source is missing or broken or has no label, or the folder cannot be written.
        """
        stamp = fingerprint(source)
        path = self.folder / kind / f"{key}.png"
        kept = _open(path, stamp)
        if kept is not None:
            return kept
        label = derive(source)
        if label is None:
            raise UserError(f"{source}: has no label of {kind} any more: start again, so that it is looked through")
        self._save(path, label, stamp)
        return label

    def existing(
        self, kind: str, sources: Mapping[str, Path], derive: Callable[[Path], Plane | None], title: str
    ) -> dict[str, bool]:
        """Which sources have a label; only those that are new or changed are opened, and their labels kept.

        What was found is written every two seconds, so that a killed search goes on where it was.

        Args:
            kind: the folder of these labels.
            sources: the source of each key.
            derive: computes a label, None if there is none.
            title: of the progress bar, which shows on the error stream after two seconds.

        Raises:
            UserError: as for `read`.
        """
        path = self.folder / f"{kind}.json"
        stamps = {key: fingerprint(source) for key, source in sources.items()}
        known = _read_list(path)
        todo = [key for key in sources if known.get(key, [None])[0] != stamps[key]]
        found: dict[str, list[Any]] = {}
        saved = time.monotonic()
        try:
            with LateProgress(title, len(todo)) as progress:
                for key in todo:
                    label = derive(sources[key])
                    if label is not None:
                        self._save(self.folder / kind / f"{key}.png", label, stamps[key])
                    found[key] = [stamps[key], label is not None]
                    progress.advance()
                    if time.monotonic() - saved >= SAVE_EVERY:
                        self._save_list(path, found)
                        saved = time.monotonic()
        finally:
            if found:
                self._save_list(path, found)
        return {key: bool(found.get(key, known.get(key))[1]) for key in sources}  # type: ignore[index]

    def _save(self, path: Path, label: Plane, stamp: str) -> None:
        notes = PngInfo()
        notes.add_text("source", stamp)
        self._write(path, lambda: write_atomically(path, lambda file: Image.fromarray(label).save(file, pnginfo=notes)))

    def _save_list(self, path: Path, found: dict[str, list[Any]]) -> None:
        # another process may have added to the list meanwhile
        entries = {**_read_list(path), **found}
        self._write(path, lambda: write_text(path, json.dumps(entries)))

    def _write(self, path: Path, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            raise UserError(
                f"{path}: cannot be written ({error.strerror or error}): labels computed from .mat files are kept in "
                f"{self.folder}: name a folder that can be written with --data.label_cache (check, convert: "
                "--label_cache)"
            ) from error


def fingerprint(source: Path) -> str:
    """What tells a source from an earlier or later form of it.

    Raises:
        UserError: it is missing.
    """
    try:
        status = source.stat()
    except OSError as error:
        raise UserError(f"{source}: is missing: unpack the archive again") from error
    return f"{VERSION} {status.st_size} {status.st_mtime_ns}"


def _open(path: Path, stamp: str) -> Plane | None:
    try:
        with path.open("rb") as file, Image.open(file, formats=("PNG",)) as picture:
            if picture.mode != "L" or picture.info.get("source") != stamp:
                return None
            return np.array(picture)
    except Exception:  # missing or damaged: it is computed again
        return None


def _read_list(path: Path) -> dict[str, list[Any]]:
    """Fingerprint and whether there is a label, by key; nothing if the list is missing or damaged."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        sound = all(isinstance(stamp, str) and isinstance(exists, bool) for stamp, exists in entries.values())
        return entries if sound else {}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
