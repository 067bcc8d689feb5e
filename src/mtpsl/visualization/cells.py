"""The pictures of one task and image: label, prediction, what is wrong, the prediction on the photo, and their legends.

Each is drawn at the size it is shown at, so that a sheet, a page or a notebook only has to put them side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from mtpsl.tasks import Task
from mtpsl.visualization.errors import draw_error
from mtpsl.visualization.grid import Size, as_picture, cell_size, resized
from mtpsl.visualization.legends import Entry, drawn, unlabelled
from mtpsl.visualization.photo import draw_overlay, draw_photo
from mtpsl.visualization.scales import hatch, plain
from mtpsl.visualization.scores import score_line

DrawLegend = Callable[[int], Image.Image | None]


@dataclass(frozen=True)
class TaskCells:
    """What a sheet shows of one task.

    Args:
        pictures: by name and in this order, as far as there are any: `label` and `prediction`, on one scale; `error`,
            what is wrong; `overlay`, the prediction on the photo.
        score: of this image, in words; empty without a label.
        legends: of `prediction` (and the label) and of `error`: what draws them into a width, or None.
    """

    pictures: dict[str, Image.Image]
    score: str
    legends: dict[str, DrawLegend]


def draw_cells(
    tasks: Sequence[Task],
    image: Float[Tensor, "3 h w"],
    prediction: Mapping[str, Tensor],
    target: Mapping[str, Tensor] | None = None,
    valid: Mapping[str, Bool[Tensor, "h w"]] | None = None,
    *,
    legend_width: int = 600,
) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
    """The parts of a sheet, each as an array: `photo`, and `NAME/label`, `NAME/prediction` and so on of every task.

    Args:
        tasks: what is drawn.
        image: values from 0 to 1.
        prediction: the RAW prediction of every task, (c, h, w) with the image's height and width.
        target: the labels that there are; a task without one has no `label` and no `error`.
        valid: which pixels of a label count, by default all; the others are hatched.
        legend_width: room for the legends: `NAME/prediction legend` and `NAME/error legend`, where there is one.

    Raises:
        ValueError: a task has no prediction, or one of another size than the image.
    """
    size = cell_size(*image.shape[-2:])
    cells = {"photo": draw_photo(image, size)}
    for name, parts in cells_of_tasks(tasks, image, prediction, target, valid, size).items():
        cells |= {f"{name}/{part}": picture for part, picture in parts.pictures.items()}
        legends = {part: draw(legend_width) for part, draw in parts.legends.items()}
        cells |= {f"{name}/{part} legend": picture for part, picture in legends.items() if picture is not None}
    return {name: np.asarray(picture) for name, picture in cells.items()}


def cells_of_tasks(
    tasks: Sequence[Task],
    image: Float[Tensor, "3 h w"],
    prediction: Mapping[str, Tensor],
    target: Mapping[str, Tensor] | None,
    valid: Mapping[str, Bool[Tensor, "h w"]] | None,
    size: Size,
) -> dict[str, TaskCells]:
    """`task_cells` of every task, at (height, width).

    Raises:
        ValueError: a task has no prediction, or one of another size than the image.
    """
    expected = tuple(image.shape[-2:])
    for task in tasks:
        if task.name not in prediction or tuple(prediction[task.name].shape[-2:]) != expected:
            found = tuple(prediction[task.name].shape) if task.name in prediction else "none"
            raise ValueError(f"{task.name}: prediction should be as large as the image, {expected}, not {found}")
    cells = {}
    for task in tasks:
        label, mask = (target or {}).get(task.name), (valid or {}).get(task.name)
        cells[task.name] = task_cells(task, image, prediction[task.name], label, mask, size)
    return cells


def task_cells(
    task: Task,
    image: Float[Tensor, "3 h w"],
    raw: Float[Tensor, "c h w"],
    label: Tensor | None,
    mask: Bool[Tensor, "h w"] | None,
    size: Size,
) -> TaskCells:
    """Draw one task at (height, width); a label without a valid pixel is none, a prediction not finite is black."""
    image = image.detach().float().cpu()
    raw = raw.detach().float().cpu()[None]
    finite = raw.isfinite().all(1)
    decoded = task.decode(torch.nan_to_num(raw))
    values, valid = decoded, finite
    entries: list[Entry] = [] if finite.all() else [("not a number", plain((0, 0, 0)))]
    seen = torch.zeros_like(finite)
    if label is not None:
        label = label.detach().cpu()[None]
        seen = torch.ones_like(finite) if mask is None else mask.detach().cpu()[None]
    labelled = label is not None and bool(seen.any())
    if labelled:
        assert label is not None
        values, valid = torch.cat([label.to(decoded.dtype), decoded]), torch.cat([seen, finite])
        entries += [unlabelled()] * (not seen.all())
    pictures = [resized(as_picture(colors), size) for colors in task.colorize(values, valid)]
    meaning = task.legend(values, valid)
    legends: dict[str, DrawLegend] = {"prediction": lambda width: drawn(meaning, width, entries)}
    cells = {"prediction": pictures[-1]}
    score = ""
    if labelled:
        assert label is not None
        error, wrong = draw_error(task, image, raw, label, seen, size)
        cells = {"label": hatch(pictures[0], ~seen[0]), "prediction": pictures[1], "error": hatch(error, ~seen[0])}
        legends["error"] = lambda width: wrong(width, entries)
        score = score_line(task, raw, label, seen)
    if (over := draw_overlay(task, image, decoded, finite, size)) is not None:
        cells["overlay"] = over
    return TaskCells(cells, score, legends)
