"""Predictions as files.

For a picture `street/a.jpg` inside the folder that was given:

    OUT/segmentation/street/a.png  the class of every pixel, 8 bit (16 bit for more than 256 classes)
    OUT/depth/street/a.npy         float32 (h, w), in the unit of the labels that the network was trained on
    OUT/normals/street/a.npy       float32 (h, w, 3), unit vectors, x to the right, in the frame of the labels
    OUT/edges/street/a.npy         float32 (h, w), the probability of a boundary
    OUT/saliency/street/a.npy      float32 (h, w), the probability of being salient
    OUT/human_parts/street/a.png   the part of a body at every pixel, 8 bit, 0 where there is none
    OUT/regression/street/a.npy    float32 (h, w) or (h, w, channels), in the unit of the labels
    OUT/multilabel/street/a.npy    float32 (h, w) or (h, w, classes), the probability of each class
    OUT/sheets/street/a.png        the picture and all predictions in colors, for people

In general a task with class labels gives a PNG, every other one an array, with a last axis if it has several channels.
All but the sheet have the size of the picture (upright: after its EXIF orientation was applied).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from mtpsl.errors import UserError
from mtpsl.files import write_atomically
from mtpsl.tasks import Task

SHEETS = "sheets"


@dataclass(frozen=True)
class PredictionSummary:
    """What `Predictor.predict_files` did; `passed_over` are the files of the given folders that are no pictures."""

    out: Path
    images: int
    files: list[Path]
    seconds: float
    passed_over: list[Path] = field(default_factory=list)


def prepare_folder(out: Path, overwrite: bool) -> None:
    """Make the folder for results.

    Raises:
        UserError: it is a file, cannot be made, or holds something while `overwrite` is off.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: should be a folder, but is a file")
    try:
        out.mkdir(parents=True, exist_ok=True)
        used = any(out.iterdir())
    except OSError as error:
        raise UserError(f"{out}: this folder cannot be made ({error.strerror})") from error
    if used and not overwrite:
        raise UserError(f"{out}: this folder is not empty: choose another one, or write into it with --overwrite")


def write_prediction(task: Task, values: np.ndarray, out: Path, name: str) -> Path:
    """Write the decoded prediction of one picture to `out/<task>/<name>.png` or `.npy` and return the file."""
    if task.target_spec.channels == 0:
        path = out / task.name / f"{name}.png"
        write(path, lambda temporary: Image.fromarray(values).save(temporary))
    else:
        path = out / task.name / f"{name}.npy"
        write(path, lambda temporary: np.save(temporary, values))
    return path


def write_sheet(sheet: Image.Image, out: Path, name: str) -> Path:
    """Write a color sheet to `out/sheets/<name>.png` and return the file."""
    path = out / SHEETS / f"{name}.png"
    write(path, lambda temporary: sheet.save(temporary))
    return path


def write(path: Path, how: Callable[[Path], object]) -> None:
    """Write a file whole or not at all.

    Raises:
        UserError: the system does not let it be written.
    """
    try:
        write_atomically(path, how)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def check_folder_names(tasks: list[Task]) -> None:
    """Every task needs a folder of its own directly inside the one for results.

    Raises:
        ValueError: a task's name cannot be that of such a folder.
    """
    for task in tasks:
        if task.name in ("", ".", "..", SHEETS) or "/" in task.name or "\\" in task.name or "\0" in task.name:
            raise ValueError(
                f"{task.name!r}: a task should have a name that a folder can have, other than {SHEETS!r}: rename it"
            )
