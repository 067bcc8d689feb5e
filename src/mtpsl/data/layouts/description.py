"""dataset.yaml: which tasks a folder has labels for and what the numbers in the files mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from mtpsl.data.autolabels import Autolabels, parse_autolabels
from mtpsl.data.formats import FORMATS
from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.formats.own_format import OwnFormat, own_task
from mtpsl.data.layouts.hash_split import HashSplit, parse_split
from mtpsl.data.layouts.places import Folders, parse_folders
from mtpsl.data.relations.description import RelationDescription, parse_relation, relation_keys
from mtpsl.data.relations.views import CameraDescription, parse_camera
from mtpsl.data.yaml_files import read_yaml
from mtpsl.errors import LayoutError, UserError
from mtpsl.files import sub_folders
from mtpsl.plugins import absolute, checked_options, names_code
from mtpsl.tasks import Task


@dataclass(frozen=True)
class Description:
    """A data set's name and the format of each task's labels, in the order of the file.

    `folders` says where images and labels lie, `split` which image is in which split if no folder does; `relations`
    which labels follow from those of another task, `camera` what took the images, `autolabels` which run predicted
    some labels.
    """

    name: str
    formats: dict[str, LabelFormat]
    path: Path
    folders: Folders
    split: HashSplit | None
    relations: dict[str, RelationDescription]
    camera: CameraDescription | None = None
    autolabels: Autolabels | None = None

    def select(self, tasks: Sequence[str] | None) -> dict[str, LabelFormat]:
        """The formats of some tasks (of all by default), in the order of the file.

        Raises:
            UserError: a name that the file does not describe.
        """
        if tasks is None:
            return dict(self.formats)
        for name in tasks:
            if name not in self.formats:
                raise UserError(f"unknown task {name!r}: {self.path} describes {_listed(self.formats)}")
        return {name: label_format for name, label_format in self.formats.items() if name in tasks}


def read_description(path: str | Path) -> Description:
    """Read a dataset.yaml.

    Raises:
        UserError: the file is missing, is not YAML, or holds an unknown or wrong entry.
    """
    path = Path(path)
    if not path.is_file():
        raise LayoutError(
            f"{path}: no such description",
            f"write one, as `name: mine` and `tasks: {{{_described(path.parent)}}}`, or give its path",
        )
    return parse_description(read_yaml(path), path)


def _described(root: Path) -> str:
    """How the folders of labels that are there would be described."""
    entries = {"segmentation": "{classes: 3}", "depth": "{scale: 0.001}"}
    there = dict.fromkeys(name for split in sub_folders(root) for name in sub_folders(root / split) if name in FORMATS)
    return ", ".join(f"{name}: {entries.get(name, '{}')}" for name in there or ("segmentation", "depth"))


def parse_description(content: Any, path: Path) -> Description:
    """A description from what its file holds.

    Raises:
        UserError: an unknown or wrong entry.
    """
    _known_keys(path, "a description", content, ("name", "tasks", "camera", "folders", "split", "autolabels"))
    if not isinstance(content.get("name"), str) or not content["name"]:
        raise UserError(f"{path}: `name` should be a text, not {content.get('name')!r}")
    if not isinstance(content.get("tasks"), dict) or not content["tasks"]:
        raise UserError(f"{path}: `tasks` should describe at least one of {_listed(FORMATS)}")
    formats = {name: _label_format(path, name, entry) for name, entry in content["tasks"].items()}
    relations = _relations(path, content["tasks"], formats, camera="camera" in content)
    try:
        camera = parse_camera(content["camera"]) if "camera" in content else None
        split = parse_split(content["split"]) if "split" in content else None
        folders = parse_folders(content.get("folders", {}), formats, split_by_name=split is None)
        made = parse_autolabels(content["autolabels"]) if "autolabels" in content else None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    return Description(content["name"], formats, path, folders, split, relations, camera, made)


def _label_format(path: Path, name: Any, entry: Any) -> LabelFormat:
    where = f"task {name!r}"
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name == "image":
        raise UserError(f"{path}: {where} should be a folder's name of letters, digits, _ and -, other than image")
    entry = {} if entry is None else entry
    if not isinstance(entry, dict):
        raise UserError(f"{path}: {where} should be a mapping such as {{ignore: 255}}, not {entry!r}")
    kind = entry.get("type", name)
    cls: type[Task] | None = None
    options: list[str] = []
    if names_code(kind):
        cls, kind, options = own_task(absolute(kind, path.parent), path)
    if not isinstance(kind, str) or kind not in FORMATS:
        cure = "" if "type" in entry else f" or have a `type`, one of {_listed(FORMATS)}"
        what = f"`type` {kind!r} of {where}" if "type" in entry else where
        raise UserError(f"{path}: {what} should be one of {_listed(FORMATS)}{cure}")
    known = fields(FORMATS[kind])  # type: ignore[arg-type]
    others = ("type", *options, *relation_keys(kind))
    _known_keys(path, where, entry, ("type", *(field.name for field in known), *others[1:]))
    for field in known:
        if field.default is MISSING and field.name not in entry:
            raise UserError(f"{path}: {where} needs `{field.name}`")
    try:
        base = FORMATS[kind](**{key: value for key, value in entry.items() if key not in others})
        if cls is None:
            return base
        own = checked_options(cls, {key: value for key, value in entry.items() if key in options})
        return OwnFormat(base, cls, own)
    except ValueError as error:
        raise UserError(f"{path}: {where}: {error}") from error


def _relations(
    path: Path, entries: dict[str, Any], formats: dict[str, LabelFormat], *, camera: bool
) -> dict[str, RelationDescription]:
    found = {}
    for name in formats:
        try:
            relation = parse_relation(name, entries[name] or {}, formats, camera=camera)
        except ValueError as error:
            raise UserError(f"{path}: task {name!r}: {error}") from error
        if relation is not None:
            found[name] = relation
    return found


def _known_keys(path: Path, where: str, entry: Any, known: Sequence[str]) -> None:
    if not isinstance(entry, dict):
        raise UserError(f"{path}: {where} should have the keys {_listed(known)}, not be {entry!r}")
    for key in entry:
        if key not in known:
            raise UserError(f"{path}: {where} has the unknown key {key!r}: known are {_listed(known)}")


def _listed(names: Any) -> str:
    return ", ".join(names)
