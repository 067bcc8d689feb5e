"""What a dataset.yaml says of labels that follow from others: `from` and what belongs to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.relations import RELATIONS
from mtpsl.data.relations.views import EXAMPLE, CameraDescription, parse_camera

#: the key that makes a task follow from another one
FROM = "from"


@dataclass(frozen=True)
class RelationDescription:
    """A relation whose cameras are not read yet.

    Args:
        kind: the task type that it makes.
        source: the name of the task that it starts from.
        camera: what the task's entry says of the camera, None where none is needed or that of all images is meant.
        options: of the relation.
    """

    kind: str
    source: str
    camera: CameraDescription | None
    options: dict[str, Any]

    @property
    def shares_camera(self) -> bool:
        """Whether it needs the camera that the description gives all images."""
        return RELATIONS[self.kind].needs_camera and self.camera is None


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
    name: str, entry: Mapping[str, Any], formats: Mapping[str, LabelFormat], *, camera: bool = False
) -> RelationDescription | None:
    """The relation of a task, if it has one.

    Args:
        name: the task.
        entry: what dataset.yaml says of it.
        formats: of all tasks.
        camera: whether dataset.yaml gives all images a camera.

    Raises:
        ValueError: it is wrong.
    """
    kind = formats[name].kind
    if FROM not in entry:
        if lost := [key for key in relation_keys(kind) if key in entry]:
            other = ", or stands beside `tasks`, as the camera of all images" if lost[0] == "camera" else ""
            raise ValueError(f"`{lost[0]}` needs `from`, as {{from: {RELATIONS[kind].source_kind}}}{other}")
        return None
    source, cls = entry[FROM], RELATIONS[kind]
    if source == name:
        raise ValueError(f"`from` should name another task than {name} itself, as {{from: {cls.source_kind}}}")
    if not isinstance(source, str) or source not in formats:
        raise ValueError(f"`from` should name one of the tasks {', '.join(formats)}, not {source!r}")
    if formats[source].kind != cls.source_kind:
        raise ValueError(f"{kind} follow from {cls.source_kind}, not from {source} ({formats[source].kind})")
    own = parse_camera(entry["camera"]) if entry.get("camera") is not None else None
    if cls.needs_camera and own is None and not camera:
        raise ValueError(f"{kind} from {source} need a `camera`, as {EXAMPLE}, beside `tasks`")
    options = {key: entry[key] for key in option_names(kind) if key in entry}
    check_options(options)
    return RelationDescription(kind, source, own, options)


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
