"""Whether images have the cameras that known relations need."""

from __future__ import annotations

import sys

from mtpsl.data.partial import PartialDataset
from mtpsl.errors import UserError
from mtpsl.objectives import Objective
from mtpsl.objectives.supervised import SupervisedObjective


def require_cameras(objective: Objective, train: PartialDataset, root: str | None, *, say: bool = True) -> None:
    """Say which relations do not count because no training image has a camera.

    Raises:
        UserError: there is no other relation.
    """
    if not isinstance(objective, SupervisedObjective) or train.dataset.has_cameras:
        return
    blind = [one for one in objective.related.relations if one.needs_camera]
    if not blind:
        return
    line = (
        f"{root or train.name}: objective.relations.weight: {blind[0].name} needs the camera of the images, which is "
        "not known: describe it in dataset.yaml beside `tasks`, as camera: {focal: 500, size: [480, 640]}"
    )
    if len(blind) == len(objective.related.relations):
        raise UserError(f"{line}, or leave objective.relations.weight out")
    if say:
        print(f"{line}; only {objective.related.relations[0].name} counts", file=sys.stderr)
