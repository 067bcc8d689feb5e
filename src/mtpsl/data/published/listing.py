"""What the readers of published data sets share: which tasks are read, and what lies in a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mtpsl.data.formats.base import LabelFormat
from mtpsl.errors import LayoutError, UserError


def select_formats(
    formats: dict[str, LabelFormat], tasks: Sequence[str] | None, dataset: str
) -> dict[str, LabelFormat]:
    """The formats of some tasks (of all by default), in the order of the data set.

    Raises:
        UserError: a task that the data set does not have.
    """
    for name in tasks or ():
        if name not in formats:
            raise UserError(f"unknown task {name!r}: {dataset} has {', '.join(formats)}")
    return {name: label_format for name, label_format in formats.items() if tasks is None or name in tasks}


def require_split(root: Path, split: str, splits: Sequence[str], dataset: str, layout: str) -> None:
    """Require that a folder of a layout has a split.

    Args:
        root: the data set's folder.
        split: the wanted split.
        splits: those that were found.
        dataset: the layout's name in the configuration.
        layout: what should lie where, for the message.

    Raises:
        UserError: there is no such folder, it has another layout, or it lacks the split.
    """
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder: give the folder of the {dataset} data set")
    if not splits:
        raise LayoutError(f"{root}: there is no split in it", layout)
    if split not in splits:
        raise UserError(f"{root}: there is no split {split!r}: there are {', '.join(splits)}")


def require_task_folder(folder: Path, task: str, tasks: Sequence[str], unpack: str) -> None:
    """Require the folder that holds a task's labels.

    Args:
        folder: the folder.
        task: the task.
        tasks: all tasks that are read.
        unpack: what to unpack if it is not there, for the message.

    Raises:
        UserError: it is not there.
    """
    if not folder.is_dir():
        others = ",".join(name for name in tasks if name != task)
        cure = f", or read other tasks only with --data.tasks {others} (check, convert: --tasks)" if others else ""
        raise UserError(f"{folder}: there is no such folder, which holds {task}: {unpack}{cure}")


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
