"""The relations and the cameras of one split, as its dataset.yaml describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.relations import RELATIONS
from mtpsl.data.relations.base import Cameras, Relation
from mtpsl.data.relations.description import RelationDescription
from mtpsl.data.relations.views import CameraDescription
from mtpsl.errors import UserError


@dataclass(frozen=True)
class Related:
    """What is known of the images of a split besides their labels.

    Args:
        relations: those between tasks that are read.
        follows: of each task the one that it follows from, also if that one is not read.
        cameras: of the images, whether or not a label follows with them; None where none are known or of use.
    """

    relations: Mapping[str, Relation] = field(default_factory=dict)
    follows: Mapping[str, str] = field(default_factory=dict)
    cameras: Cameras | None = None


def open_related(
    described: Mapping[str, RelationDescription],
    camera: CameraDescription | None,
    formats: Mapping[str, LabelFormat],
    root: Path,
    split: str,
    keys: Sequence[str],
    labelled: Mapping[str, Sequence[bool]],
) -> Related:
    """Open the relations between tasks that are read, each for the images that have a label to start from.

    Args:
        described: the relations of the data set.
        camera: of all of its images, if there is one; opened where two tasks are read that only a camera relates.
        formats: of the tasks that are read.
        root: its folder.
        split: which split.
        keys: its images.
        labelled: which of them have a label, by the tasks that are read.

    Raises:
        UserError: a camera is missing or wrong.
    """
    read = {name: one for name, one in described.items() if name in labelled and one.source in labelled}
    having = {
        name: [key for key, there in zip(keys, labelled[one.source], strict=True) if there]
        for name, one in read.items()
    }
    shared: Cameras | None = None
    if camera is not None and uses_cameras([one.kind for one in formats.values()]):
        needed = dict.fromkeys(key for name, one in read.items() if one.shares_camera for key in having[name])
        shared = camera.cameras(root, split, [*needed], keys)
        if keys and not shared:
            raise UserError(f"{root / str(camera.file)}: has no camera of any image of {split}: add rows")
    relations = {}
    for name, one in read.items():
        cameras = shared if one.shares_camera else None
        if one.camera is not None:
            cameras = one.camera.cameras(root, split, having[name], keys)
        relations[name] = RELATIONS[one.kind](one.source, cameras, **one.options)
    return Related(relations, {name: one.source for name, one in described.items()}, shared)


def uses_cameras(kinds: Sequence[str]) -> bool:
    """Whether there is a relation between tasks of these types that needs cameras.

    >>> uses_cameras(["depth", "normals"]), uses_cameras(["depth", "edges"])
    (True, False)
    """
    return any(one.needs_camera and kind in kinds and one.source_kind in kinds for kind, one in RELATIONS.items())
