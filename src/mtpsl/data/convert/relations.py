"""What a converted set says of labels that follow from others, and its tables of cameras."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtpsl.camera import Camera
from mtpsl.data.base import StoredDataset
from mtpsl.data.relations import Relation
from mtpsl.data.relations.description import option_names
from mtpsl.files import write_text

COLUMNS = ("split", "name", "fx", "fy", "cx", "cy")


def relation_entries(datasets: Mapping[str, StoredDataset]) -> dict[str, dict[str, Any]]:
    """What dataset.yaml says besides of each task that follows from another one."""
    entries: dict[str, dict[str, Any]] = {}
    for dataset in datasets.values():
        for task, relation in dataset.relations.items():
            kind = dataset.formats[task].kind
            options = {name: getattr(relation, name) for name in option_names(kind)}
            entries.setdefault(task, {"from": relation.source, **_camera(task, relation, dataset.size), **options})
    return entries


def write_cameras(
    folder: Path, datasets: Mapping[str, StoredDataset], names: Callable[[Sequence[str]], Mapping[str, str]]
) -> None:
    """The table of each task whose images have cameras of their own; `names` gives images the names that they get."""
    tables: dict[str, list[list[object]]] = {}
    for split, dataset in datasets.items():
        renamed = names(dataset.keys)
        for task, relation in dataset.relations.items():
            if isinstance(relation.cameras, Mapping):
                for key, camera in relation.cameras.items():
                    one = _resized(camera, dataset.size).intrinsics
                    row: list[object] = [split, renamed[key], *map(repr, (one.fx, one.fy, one.cx, one.cy))]
                    tables.setdefault(task, []).append(row)
    for task, rows in tables.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        write_text(folder / _file(task), text.getvalue())


def _camera(task: str, relation: Relation, size: tuple[int, int] | None) -> dict[str, Any]:
    cameras = relation.cameras
    if cameras is None:
        return {}
    if isinstance(cameras, Camera):
        one = _resized(cameras, size)
        numbers = one.intrinsics
        focal, center = [numbers.fx, numbers.fy], [numbers.cx, numbers.cy]
        return {"camera": {"focal": focal, "center": center, "size": [*one.size]}}
    found = next(iter(cameras.values()), None)
    if found is None:
        return {"camera": {"focal": 1.0, "size": [1, 1]}}  # of no image
    table = {"file": _file(task), "split": "split", "name": "name", "focal": ["fx", "fy"], "center": ["cx", "cy"]}
    return {"camera": {**table, "size": [*_resized(found, size).size]}}


def _resized(camera: Camera, size: tuple[int, int] | None) -> Camera:
    return camera if size is None else Camera(camera.intrinsics.resized(camera.size, size), size)


def _file(task: str) -> str:
    return f"cameras_{task}.csv"
