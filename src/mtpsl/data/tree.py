"""What the readers of published data sets share: which tasks are read, and what lies in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtpsl.data.label_format import LabelFormat
from mtpsl.errors import UserError


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


def sub_folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; none if it is not there."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def need_split(root: Path, split: str, splits: Sequence[str], dataset: str, layout: str) -> None:
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
        from mtpsl.data.layouts import other_layout  # it imports the registry, which imports the data sets

        raise UserError(f"{root}: there is no split in it: " + (other_layout(root, dataset) or layout))
    if split not in splits:
        raise UserError(f"{root}: there is no split {split!r}: there are {', '.join(splits)}")


def need_task_folder(folder: Path, task: str, tasks: Sequence[str], unpack: str) -> None:
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
