"""Images and labels that a list names by id."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mtpsl.errors import UserError


def read_ids(path: Path) -> list[str]:
    """The ids that a list names, one per line.

    Raises:
        UserError: it is empty or no text, or names an id twice.
    """
    try:
        ids = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text: it should hold an id per line") from error
    if not ids:
        raise UserError(f"{path}: is empty: it should hold an id per line")
    if len({*ids}) < len(ids):
        twice = next(key for place, key in enumerate(ids) if key in ids[:place])
        raise UserError(f"{path}: lists {twice!r} twice: keep one line")
    return ids


def find_listed(folder: Path, suffixes: Sequence[str], ids: Sequence[str], listed: Path) -> dict[str, Path]:
    """The file of each listed id; no file is opened.

    Raises:
        UserError: an id has no file, or two.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    missing = [key for key in ids if key not in found]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        names = " or ".join(missing[0] + suffix for suffix in suffixes)
        raise UserError(f"{folder}: there is no {names}{more}, which {listed} lists: unpack the archive again")
    for key in ids:
        if len(found[key]) > 1:
            raise UserError(f"{found[key][0]}: {found[key][1].name} has the same id: keep one of them")
    return {key: found[key][0] for key in ids}


def find_first(folders: Sequence[Path], suffix: str, ids: Sequence[str], listed: Path) -> dict[str, Path]:
    """The file of each listed id in the first folder that has one; no file is opened.

    Raises:
        UserError: an id has none.
    """
    names = {folder: {*os.listdir(folder)} if folder.is_dir() else set() for folder in folders}
    found = {
        key: folder / (key + suffix) for folder in reversed(folders) for key in ids if key + suffix in names[folder]
    }
    missing = [key for key in ids if key not in found]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        nor = "".join(f" nor in {folder}" for folder in folders[1:])
        raise UserError(
            f"{folders[0]}: there is no {missing[0]}{suffix}{more}{nor}, which {listed} lists: unpack the archive again"
        )
    return {key: found[key] for key in ids}
