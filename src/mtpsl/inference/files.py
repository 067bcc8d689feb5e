"""Predict picture files, one after the other, and write what comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from mtpsl.errors import UserError, lacks_memory
from mtpsl.inference.canvas import Canvas
from mtpsl.inference.images import Picture, as_picture, seen, size_of
from mtpsl.inference.reading import find_pictures
from mtpsl.inference.sizes import Size
from mtpsl.inference.writing import SHEETS, PredictionSummary, prepare_folder, write_prediction, write_sheet
from mtpsl.phrases import no_pictures
from mtpsl.tasks import Task

#: draws tasks, image and raw predictions (`mtpsl.visualization.draw_sheet`)
DrawSheet: TypeAlias = Callable[[Sequence[Task], Tensor, dict[str, Tensor]], Image.Image]
#: predicts a picture; also raw predictions at a size, if there is one
Predict: TypeAlias = Callable[[Picture, Size | None], tuple[list[Canvas], dict[str, Tensor]]]
#: the longer side of the picture that a sheet is drawn from
SHEET_SIDE = 480


def predict_files(
    tasks: Sequence[Task],
    predict: Predict,
    paths: Path | Sequence[Path],
    out: Path,
    *,
    draw: DrawSheet | None,
    overwrite: bool,
    progress: bool,
) -> PredictionSummary:
    """`Predictor.predict_files`, which says what the arguments mean."""
    start = time.perf_counter()
    passed_over: list[Path] = []
    results = [out / folder for folder in (*(task.name for task in tasks), SHEETS)]
    pictures = find_pictures(paths, results, passed_over)
    prepare_folder(out, overwrite)
    files: list[Path] = []
    failures: list[str] = []
    with Progress(console=Console(stderr=True), disable=not progress) as bar:
        for picture in bar.track(pictures, description="predict"):
            try:
                files += predict_file(tasks, predict, picture.path, picture.name, out, draw)
            except UserError as error:
                failures.append(str(error))
    done = len(pictures) - len(failures)
    if failures:
        more = f" (and {len(failures) - 3} more)" if len(failures) > 3 else ""
        others = f", passed over {no_pictures(len(passed_over))}" if passed_over else ""
        raise UserError(
            f"{'; '.join(failures[:3])}{more}. Predicted {done} of {len(pictures)} pictures into {out}{others}"
        )
    return PredictionSummary(out, done, files, time.perf_counter() - start, passed_over)


def predict_file(
    tasks: Sequence[Task], predict: Predict, path: Path, name: str, out: Path, draw: DrawSheet | None
) -> list[Path]:
    """Predict one picture and write its files.

    Raises:
        UserError: it cannot be read, there is not enough memory for it, or its files cannot be written.
    """
    picture = as_picture(path)
    size = size_of(picture)
    scale = min(1.0, SHEET_SIDE / max(size))
    small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    try:
        canvases, raw = predict(picture, None if draw is None else small)
        files = [write_prediction(canvas.task, canvas.values, out, name) for canvas in canvases]
        if draw is not None:
            files.append(write_sheet(draw(tasks, seen(picture, small)[0], raw), out, name))
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        raise UserError(
            f"{path}: there is not enough memory for its {size[0]}x{size[1]} pixels (height x width): shrink it, or "
            "have it cut with --tile"
        ) from error
    return files
