"""Which files of a folder are the images and labels of a split, and which are not."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mtpsl.data.arrays import ARRAY_SUFFIXES
from mtpsl.files import files_below, leads_nowhere
from mtpsl.phrases import counted
from mtpsl.pictures import FOREIGN_SUFFIXES, SUFFIXES

#: suffixes that someone might take for supported; other files (notes, thumbnails' caches) are passed over
FOREIGN = {*FOREIGN_SUFFIXES, *SUFFIXES, *ARRAY_SUFFIXES, ".h5", ".hdf5", ".mat", ".npz", ".pfm", ".pt", ".pth"}


@dataclass(frozen=True)
class SplitFiles:
    """The files of one split by key, what is wrong with them, and what is passed over, one line each."""

    images: dict[str, Path]
    labels: dict[str, dict[str, Path]]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def list_split(folder: Path, tasks: Sequence[str], known: Collection[str] = ()) -> SplitFiles:
    """Find the images and labels of a split without opening them.

    Args:
        folder: the split's folder.
        tasks: the tasks to read.
        known: the tasks that the description has; another folder is passed over with a note.
    """
    found = SplitFiles({}, {})
    found.images.update(_by_key(folder / "image", SUFFIXES, found))
    if not found.images:
        found.problems.append(f"{folder / 'image'}: there is no image in it: put {', '.join(SUFFIXES)} files there")
    for name in tasks:
        labels = found.labels[name] = _by_key(folder / name, ARRAY_SUFFIXES, found)
        orphans = sorted(labels.keys() - found.images.keys())
        if orphans and found.images:
            names = _some([labels[key].relative_to(folder / name).as_posix() for key in orphans])
            found.problems.append(
                f"{folder / name}: no image belongs to {names}: "
                f"a label should have the name of its image in {folder / 'image'}"
            )
    others = [
        path.name
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith(".") and path.name not in {"image", *tasks, *known}
    ]
    if others:
        found.notes.append(f"{folder}: passed over, since the description has no such task: {_some(others)}")
    return found


def key_of(path: Path) -> str:
    """What an image and its labels have in common: the path below their folder without suffix.

    One form of Unicode, since a file system may have composed letters where another has accents of their own.

    >>> key_of(Path("scene7/3.png"))
    'scene7/3'
    """
    return unicodedata.normalize("NFC", path.with_suffix("").as_posix())


def _by_key(folder: Path, suffixes: Sequence[str], split: SplitFiles) -> dict[str, Path]:
    """The files of a kind; what is wrong with others goes to the split's problems and notes."""
    found: dict[str, Path] = {}
    twice: list[str] = []
    foreign: list[str] = []
    lost: list[str] = []
    others: list[str] = []
    if leads_nowhere(folder):
        split.problems.append(f"{folder}: is a link to nothing ({os.readlink(folder)}): mend or remove it")
    for path in files_below(folder) if folder.is_dir() else ():
        inner, suffix = path.relative_to(folder), path.suffix.lower()
        if leads_nowhere(path):
            lost.append(f"{inner} ({os.readlink(path)})")
        elif suffix in suffixes and path.is_file():
            other = found.setdefault(key_of(inner), path)
            twice += [inner.as_posix()] if other != path else []
        else:
            (foreign if suffix in FOREIGN else others).append(inner.as_posix())
    if lost:
        split.problems.append(f"{folder}: links to nothing: {_some(lost)}: mend or remove them ({len(lost)} in all)")
    if twice:
        split.problems.append(f"{folder}: a second file of the same name: {_some(twice)}: keep one of each")
    if foreign:
        split.problems.append(
            f"{folder}: files should be {', '.join(suffixes)}, not {_some(foreign)}: convert or remove them"
        )
    if others:
        split.notes.append(f"{folder}: {counted(len(others), 'file')} passed over: {_some(others)}")
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
