"""What a converted set says of cameras, derived labels and predicted ones, and its tables of cameras."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtpsl.camera import Camera
from mtpsl.data.base import StoredDataset
from mtpsl.data.relations.base import Cameras
from mtpsl.data.relations.description import option_names
from mtpsl.files import write_text

COLUMNS = ("split", "name", "fx", "fy", "cx", "cy")


def camera_entry(datasets: Mapping[str, StoredDataset]) -> dict[str, Any]:
    """What dataset.yaml says of the camera of all images, if anything is known."""
    known = [dataset for dataset in datasets.values() if dataset.cameras is not None]
    if not known:
        return {}
    first = next((dataset for dataset in known if dataset.cameras), known[0])
    return {"camera": _camera(first.cameras, first.size, _file())}


def autolabels_entry(datasets: Mapping[str, StoredDataset]) -> dict[str, Any]:
    """What dataset.yaml says of the runs that predicted labels, if any did."""
    made = next((one.autolabels for one in datasets.values() if one.autolabels is not None), None)
    return {} if made is None else {"autolabels": made.entry()}


def relation_entries(datasets: Mapping[str, StoredDataset]) -> dict[str, dict[str, Any]]:
    """What dataset.yaml says besides of each task that follows from another one."""
    entries: dict[str, dict[str, Any]] = {}
    for dataset in sorted(datasets.values(), key=lambda one: not one.has_cameras):  # a split may have none
        for task, relation in dataset.relations.items():
            kind = dataset.formats[task].kind
            options = {name: getattr(relation, name) for name in option_names(kind)}
            own = relation.cameras is not None and relation.cameras is not dataset.cameras
            camera = {"camera": _camera(relation.cameras, dataset.size, _file(task))} if own else {}
            entries.setdefault(task, {"from": relation.source, **camera, **options})
    return entries


def write_cameras(
    folder: Path, datasets: Mapping[str, StoredDataset], names: Callable[[Sequence[str]], Mapping[str, str]]
) -> None:
    """The tables of images that have cameras of their own; `names` gives images the names that they get."""
    tables: dict[str, list[list[object]]] = {}
    for split, dataset in datasets.items():
        renamed = names(dataset.keys)
        of_tasks = {task: one.cameras for task, one in dataset.relations.items() if one.cameras is not dataset.cameras}
        for file, cameras in {_file(): dataset.cameras, **{_file(task): one for task, one in of_tasks.items()}}.items():
            if isinstance(cameras, Mapping):
                for key, camera in cameras.items():
                    one = _resized(camera, dataset.size).intrinsics
                    row: list[object] = [split, renamed[key], *map(repr, (one.fx, one.fy, one.cx, one.cy))]
                    tables.setdefault(file, []).append(row)
    for file, rows in tables.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        write_text(folder / file, text.getvalue())


def _camera(cameras: Cameras | None, size: tuple[int, int] | None, file: str) -> dict[str, Any]:
    if isinstance(cameras, Camera):
        one = _resized(cameras, size)
        numbers = one.intrinsics
        return {"focal": [numbers.fx, numbers.fy], "center": [numbers.cx, numbers.cy], "size": [*one.size]}
    found = next(iter((cameras or {}).values()), None)
    if found is None:
        return {"focal": 1.0, "size": [1, 1]}  # of no image
    table = {"file": file, "split": "split", "name": "name", "focal": ["fx", "fy"], "center": ["cx", "cy"]}
    return {**table, "size": [*_resized(found, size).size]}


def _resized(camera: Camera, size: tuple[int, int] | None) -> Camera:
    return camera if size is None else Camera(camera.intrinsics.resized(camera.size, size), size)


def _file(task: str | None = None) -> str:
    return "cameras.csv" if task is None else f"cameras_{task}.csv"
