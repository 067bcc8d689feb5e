"""Predictions as the page shows them: pictures at the size of a screen, legends, and the values below the pointer."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtpsl.inference.canvas import Canvas
from mtpsl.inference.images import Picture as Photo
from mtpsl.inference.images import seen
from mtpsl.visualization.grid import Size, as_picture, cell_size, resized
from mtpsl.visualization.photo import draw_overlay, draw_photo, fitted
from mtpsl.visualization.report.content import Picture, TaskView
from mtpsl.visualization.report.drawing import legend

WANTED, LONGEST = 480, 640
"""The longer side of pictures: small ones are magnified to about the first, large ones shrunk to the second."""


def draw_views(photo: Photo, canvases: Sequence[Canvas]) -> tuple[list[TaskView], list[dict[str, Any]]]:
    """Of every task its pictures and legend, and what `values_of` gives."""
    height, width = canvases[0].size
    shown = cell_size(height, width, WANTED, LONGEST)
    small = (min(height, shown[0]), min(width, shown[1]))
    image = seen(photo, small)[0]
    drawn = Picture("photo", np.asarray(draw_photo(image, shown)))
    views, values = [], []
    for canvas in canvases:
        decoded = shrunk(canvas, small)
        views.append(draw_view(canvas, drawn, image, decoded, shown))
        values.append(values_of(canvas, decoded))
    return views, values


def shrunk(canvas: Canvas, size: Size) -> Tensor:
    """A prediction as a batch of one label at (height, width): classes of the nearest pixels, averages of numbers."""
    decoded = canvas.label()[None]
    if tuple(decoded.shape[-2:]) == size:
        return decoded
    return canvas.task.resampled(fitted(decoded, size))


def draw_view(canvas: Canvas, photo: Picture, image: Tensor, decoded: Tensor, size: Size) -> TaskView:
    """The photo, the prediction and, for tasks that leave the photo visible, one over the other."""
    task = canvas.task
    finite = decoded.isfinite().all(1) if decoded.ndim == 4 else torch.ones_like(decoded, dtype=torch.bool)
    known = torch.nan_to_num(decoded)
    pictures = [photo, Picture("prediction", np.asarray(resized(as_picture(task.colorize(known, finite)[0]), size)))]
    over = draw_overlay(task, image, known, finite, size)
    if over is not None:
        pictures.append(Picture("prediction on the photo", np.asarray(over)))
    return TaskView(
        task.name, pictures, legend=legend(task.legend(known, finite), False), left="photo", right="prediction"
    )


def values_of(canvas: Canvas, decoded: Tensor) -> dict[str, Any]:
    """The numbers of a prediction for the page's script: little-endian in base64, channels last."""
    wide = canvas.task.out_channels > 256
    numbers = decoded[0].permute(1, 2, 0) if decoded.ndim == 4 else decoded[0]
    kind = "float32" if decoded.ndim == 4 else "uint16" if wide else "uint8"
    written = numbers.numpy().astype(np.dtype(kind).newbyteorder("<"))
    return {
        "kind": kind,
        "height": written.shape[0],
        "width": written.shape[1],
        "names": list(getattr(canvas.task, "class_names", [])),
        "unit": str(getattr(canvas.task, "unit", "") or ""),
        "data": base64.b64encode(written.tobytes()).decode(),
    }
