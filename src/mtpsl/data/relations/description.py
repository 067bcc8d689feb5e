"""What a dataset.yaml says of labels that follow from others: `from` and what belongs to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mtpsl.camera import Camera
from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.relations import RELATIONS
from mtpsl.data.relations.base import Relation
from mtpsl.data.relations.views import CameraDescription, parse_camera
from mtpsl.errors import UserError

#: the key that makes a task follow from another one
FROM = "from"


@dataclass(frozen=True)
class RelationDescription:
    """A relation whose cameras are not read yet.

    Args:
        kind: the task type that it makes.
        source: the name of the task that it starts from.
        camera: what is said of the camera, None where none is needed.
        options: of the relation.
    """

    kind: str
    source: str
    camera: CameraDescription | None
    options: dict[str, Any]

    def opened(self, root: Path, split: str, keys: Sequence[str], others: Sequence[str] = ()) -> Relation:
        """The relation for some images of a split, which all need a camera, and for others, which may have one.

        Raises:
            UserError: the file of cameras is missing, lacks a column, an image, or holds what is none.
        """
        cameras: Mapping[str, Camera] | Camera | None = None
        if self.camera is not None:
            cameras = self.camera.cameras(root, split, keys, others)
        return RELATIONS[self.kind](self.source, cameras, **self.options)


def relation_keys(kind: str) -> list[str]:
    """The keys of a task in dataset.yaml that belong to its relation, if its type can follow from another."""
    if kind not in RELATIONS:
        return []
    camera = ["camera"] if RELATIONS[kind].needs_camera else []
    return [FROM, *camera, *option_names(kind)]


def option_names(kind: str) -> list[str]:
    """The options of a relation besides its source and cameras."""
    return [field.name for field in fields(RELATIONS[kind]) if field.name not in ("source", "cameras")]


def parse_relation(
    name: str, entry: Mapping[str, Any], formats: Mapping[str, LabelFormat]
) -> RelationDescription | None:
    """The relation of a task, if it has one.

    Args:
        name: the task.
        entry: what dataset.yaml says of it.
        formats: of all tasks.

    Raises:
        ValueError: it is wrong.
    """
    kind = formats[name].kind
    if FROM not in entry:
        if lost := [key for key in relation_keys(kind) if key in entry]:
            raise ValueError(f"`{lost[0]}` needs `from`, as {{from: {RELATIONS[kind].source_kind}}}")
        return None
    source, cls = entry[FROM], RELATIONS[kind]
    if source == name:
        raise ValueError(f"`from` should name another task than {name} itself, as {{from: {cls.source_kind}}}")
    if not isinstance(source, str) or source not in formats:
        raise ValueError(f"`from` should name one of the tasks {', '.join(formats)}, not {source!r}")
    if formats[source].kind != cls.source_kind:
        raise ValueError(f"{kind} follow from {cls.source_kind}, not from {source} ({formats[source].kind})")
    if cls.needs_camera and entry.get("camera") is None:
        raise ValueError(f"{kind} from {source} need a `camera`, as {{focal: 500, size: [480, 640]}}")
    camera = parse_camera(entry["camera"]) if cls.needs_camera else None
    options = {key: entry[key] for key in option_names(kind) if key in entry}
    check_options(options)
    return RelationDescription(kind, source, camera, options)


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse a radius that is none, and a misfit that is no share.

    Raises:
        ValueError: one is.
    """
    radius, misfit = options.get("radius", 1), options.get("misfit", 0.5)
    if type(radius) is not int or not 1 <= radius <= 50:
        raise ValueError(f"`radius` should be a whole number from 1 to 50, not {radius!r}")
    if isinstance(misfit, bool) or not isinstance(misfit, int | float) or not 0 < misfit < math.inf:
        raise ValueError(f"`misfit` should be a positive share of the depth such as 0.01, not {misfit!r}")


def open_relations(
    described: Mapping[str, RelationDescription],
    root: Path,
    split: str,
    keys: Sequence[str],
    labelled: Mapping[str, Sequence[bool]],
) -> dict[str, Relation]:
    """The relations between tasks that are read, each for the images that have a label to start from.

    Args:
        described: those of the data set.
        root: its folder.
        split: which split.
        keys: its images.
        labelled: which of them have a label, by the tasks that are read.

    Raises:
        UserError: a camera is missing or wrong.
    """
    found = {}
    for name, one in described.items():
        if name in labelled and one.source in labelled:
            having = [key for key, there in zip(keys, labelled[one.source], strict=True) if there]
            try:
                found[name] = one.opened(root, split, having, keys)
            except UserError:
                raise
            except ValueError as error:
                raise UserError(f"{root}: {name} from {one.source}: {error}") from error
    return found
