"""merged.yaml: which data sets are merged, with which labels, at which size and in which shares.

As in::

    name: streets and rooms
    size: [96, 128]
    sources:
      streets: {root: ../streets, tasks: [segmentation, edges], share: 0.5}
      rooms: {root: ../rooms, layout: nyuv2, tasks: [depth, normals], share: 0.5}
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtpsl.data.yaml_files import read_yaml
from mtpsl.errors import LayoutError, UserError
from mtpsl.files import at_home
from mtpsl.plugins import names_code

KEYS = ("name", "size", "sources")
SOURCE_KEYS = ("root", "layout", "splits", "tasks", "description", "classes", "label_cache", "share")


@dataclass(frozen=True)
class Source:
    """One data set of a merged one.

    Args:
        root: its folder; in the YAML file relative to the file's own folder.
        layout: its layout; by default recognized.
        splits: its own name of each split; by default all of its splits under their own names.
        tasks: the tasks to take from it; by default all.
        share: its part of the images of an epoch; given for every source or for none, and then every image is drawn
            once.
        options: further arguments of its data set: `description`, `classes`, `label_cache`.
    """

    root: Path
    layout: str | None
    splits: dict[str, str] | None
    tasks: list[str] | None
    share: float | None
    options: dict[str, Any]


@dataclass(frozen=True)
class MergedDescription:
    """What merged.yaml says."""

    name: str
    size: tuple[int, int]
    sources: dict[str, Source]
    path: Path


def find_description(root: str | Path) -> Path | None:
    """The YAML file: `root` itself, or the merged.yaml in it."""
    root = Path(root)
    path = root if root.suffix.lower() in (".yaml", ".yml") else root / "merged.yaml"
    return path if path.is_file() else None


def read_merged(root: str | Path) -> MergedDescription:
    """Read the YAML file of a merged set.

    Raises:
        UserError: it is missing, is not YAML, or holds an unknown or wrong entry.
    """
    path = find_description(root)
    if path is None:
        raise LayoutError(
            f"{root}: there is no merged data set",
            "give the YAML file that lists the sources, or the folder of merged.yaml",
        )
    content = read_yaml(path)
    try:
        return _description(path, content)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def _description(path: Path, content: Any) -> MergedDescription:
    _known(content, "a merged set", KEYS)
    size = content.get("size")
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise ValueError(f"`size` should be a height and a width, as [96, 128], not {size!r}")
    entries = content.get("sources")
    if not isinstance(entries, dict) or not entries:
        raise ValueError("`sources` should name at least one data set, as {rooms: {root: ../rooms}}")
    sources = {name: _source(path, name, entry) for name, entry in entries.items()}
    shares = {name: source.share for name, source in sources.items()}
    if None in shares.values() and any(shares.values()):
        without = next(name for name, share in shares.items() if share is None)
        raise ValueError(f"`share` should be given for every source or for none: {without} has none")
    name = content.get("name", path.stem)
    if not isinstance(name, str) or not name:
        raise ValueError(f"`name` should be a text, not {name!r}")
    return MergedDescription(name, (size[0], size[1]), sources, path)


def _source(path: Path, name: Any, entry: Any) -> Source:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"source {name!r} should have a name of letters, digits, _ and -")
    where = f"source {name}"
    _known(entry, where, SOURCE_KEYS)
    texts = {key: entry.get(key) for key in ("root", "layout", "description", "label_cache")}
    for key, value in texts.items():
        if not isinstance(value, str) and (value is not None or key == "root"):
            raise ValueError(f"`{key}` of {where} should be a text, not {value!r}")
    if names_code(texts["layout"]):
        raise ValueError(f"`layout` of {where} cannot be a file's class: convert that set first (mtpsl convert)")
    tasks = entry.get("tasks")
    if tasks is not None and not (isinstance(tasks, list) and tasks and all(isinstance(task, str) for task in tasks)):
        raise ValueError(f"`tasks` of {where} should be a list such as [depth], not {tasks!r}")
    splits = entry.get("splits")
    if isinstance(splits, list):
        splits = {split: split for split in splits}
    if splits is not None and not (
        isinstance(splits, dict) and splits and all(isinstance(text, str) for text in [*splits, *splits.values()])
    ):
        raise ValueError(f"`splits` of {where} should map names to its own, as {{train: fit}}, not {splits!r}")
    share = entry.get("share")
    number = isinstance(share, int | float) and not isinstance(share, bool)
    if share is not None and not (number and 0 < share < math.inf):
        raise ValueError(f"`share` of {where} should be a positive number, not {share!r}")
    options = {"classes": entry.get("classes")}
    options |= {key: str(path.parent / at_home(text)) for key in ("description", "label_cache") if (text := texts[key])}
    return Source(path.parent / at_home(str(texts["root"])), texts["layout"], splits, tasks, share, options)


def _known(entry: Any, where: str, known: tuple[str, ...]) -> None:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} should have the keys {', '.join(known)}, not be {entry!r}")
    for key in entry:
        if key not in known:
            raise ValueError(f"{where} has the unknown key {key!r}: known are {', '.join(known)}")
