"""A sheet per sample: the image and, of every task, label and prediction on one color scale with the score."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor, nn

from mtpsl.files import write_atomically
from mtpsl.structures import Batch
from mtpsl.tasks import Task
from mtpsl.visualization.grid import GREY, as_picture, beside, blank, cell_size, framed, margin, note_box, text, under
from mtpsl.visualization.legends import legend

SPELLING = {"miou": "mIoU", "odsf": "odsF"}
NARROWEST_COLUMN = 200


def draw_sheet(
    tasks: Sequence[Task],
    image: Float[Tensor, "3 h w"],
    prediction: Mapping[str, Tensor],
    target: Mapping[str, Tensor] | None = None,
    valid: Mapping[str, Bool[Tensor, "h w"]] | None = None,
    *,
    title: str = "",
) -> Image.Image:
    """Draw the image and a column for each task: its label, its prediction, the score of this image, the colors.

    Args:
        tasks: the columns.
        image: values from 0 to 1.
        prediction: the RAW prediction of every task, (c, h, w) with the image's height and width.
        target: the labels that there are; a task without one gets an empty box. None leaves out the labels' row.
        valid: which pixels of a label count, by default all; the others are black.
        title: a line above.

    Raises:
        ValueError: a task has no prediction, or one of another size than the image.
    """
    size = tuple(image.shape[-2:])
    for task in tasks:
        if task.name not in prediction or tuple(prediction[task.name].shape[-2:]) != size:
            found = tuple(prediction[task.name].shape) if task.name in prediction else "none"
            raise ValueError(f"{task.name}: prediction should be as large as the image, {size}, not {found}")
    cell = cell_size(*size)
    width = max(cell[1] + 2, NARROWEST_COLUMN)
    header = [text("image", 17, bold=True, width=width), framed(as_picture(image), cell)]
    if target is None:
        columns = [under(header)]
    else:
        columns = [under([blank(18, header[0].height), *(row_name(name, cell[0]) for name in ("label", "prediction"))])]
        columns.append(under(header))
    for task in tasks:
        label = (target or {}).get(task.name)
        mask = (valid or {}).get(task.name)
        parts = column(task, prediction[task.name], label, mask, cell, width, box=target is not None)
        columns.append(under([*parts, blank(width, 1)]))
    sheet = beside(columns)
    if title:
        sheet = under([text(title, 19, bold=True, width=max(sheet.width, 300)), sheet], gap=8)
    return margin(sheet)


def save_sheets(
    network: nn.Module, tasks: Sequence[Task], batches: Iterable[Batch], out: Path, limit: int = 8
) -> list[Path]:
    """Draw the first `limit` samples of a loader into `out/<key>.png` and return the files.

    The network runs in evaluation mode, on the device of its parameters. A key's characters that no file should
    have (`/`, `:`, spaces ...) become `_`.
    """
    parameter = next(network.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    training = network.training
    network.eval()
    files: list[Path] = []
    try:
        for batch in batches if limit > 0 else ():
            count = min(len(batch), limit - len(files))
            with torch.no_grad():
                raw = network(batch.images[:count].to(device)).predictions
            for row in range(count):
                names = [task.name for task in tasks if task.name in batch.targets]
                sheet = draw_sheet(
                    tasks,
                    batch.images[row],
                    {name: x[row].float().cpu() for name, x in raw.items()},
                    {name: batch.targets[name][row].cpu() for name in names},
                    {name: batch.valid[name][row].cpu() for name in names},
                    title=batch.keys[row],
                )
                path = free_path(out, safe_name(batch.keys[row]), files)
                write_atomically(path, sheet.save)
                files.append(path)
            if len(files) >= limit:
                break
    finally:
        network.train(training)
    return files


def column(
    task: Task,
    raw: Float[Tensor, "c h w"],
    label: Tensor | None,
    mask: Bool[Tensor, "h w"] | None,
    cell: tuple[int, int],
    width: int,
    *,
    box: bool,
) -> list[Image.Image]:
    """The parts of one task's column, from top to bottom; `box` stands in for a missing label."""
    raw = raw.detach().float().cpu()[None]
    decoded = task.decode(torch.nan_to_num(raw))
    values, valid = decoded, raw.isfinite().all(1)
    score = None
    if label is not None:
        label = label.detach().cpu()[None]
        seen = torch.ones(label.shape[-2:], dtype=torch.bool) if mask is None else mask.detach().cpu()
        if seen.any():
            score = score_line(task, raw, label, seen[None])
            values = torch.cat([label.to(decoded.dtype), decoded])
            valid = torch.cat([seen[None], valid])
    pictures = [framed(as_picture(colors), cell) for colors in task.colorize(values, valid)]
    if box and len(pictures) == 1:
        pictures.insert(0, note_box(cell, "no label"))
    parts = [text(task.name, 17, bold=True, width=width), *pictures]
    if box:
        parts.append(text(score or " ", 16, width=width))
    key = legend(task, values, valid, width)
    return parts if key is None else [*parts, key]


def score_line(task: Task, raw: Float[Tensor, "1 c h w"], label: Tensor, valid: Bool[Tensor, "1 h w"]) -> str:
    """The task's primary score of one image, with its unit."""
    metric = task.metric()
    metric.distributed_available_fn = lambda: False  # one process draws: do not wait for the others
    metric.update(raw, label, valid)
    score = task.scores(metric.compute())[task.primary]
    value = (
        "–" if math.isnan(score.value) else f"{score.value:.1f}" if score.unit in ("%", "deg") else f"{score.value:.3g}"
    )
    return f"{SPELLING.get(task.primary, task.primary)} {value} {score.unit}".rstrip()


def row_name(name: str, height: int) -> Image.Image:
    """A word along the left side of a row of pictures."""
    word = text(name, 15, color=GREY).rotate(90, expand=True)
    strip = blank(word.width, height + 2)
    strip.paste(word, (0, (strip.height - word.height) // 2))
    return strip


def safe_name(key: str) -> str:
    """A key as one file name.

    >>> safe_name("val/000 1.png"), safe_name("../x")
    ('val_000_1.png', 'x')
    """
    return re.sub(r"[^\w.-]", "_", key).lstrip("._")[:150] or "sample"


def free_path(out: Path, name: str, taken: Sequence[Path]) -> Path:
    """`out/name.png`, numbered where an earlier sample of the same call has that name."""
    path, number = out / f"{name}.png", 1
    while path in taken:
        number += 1
        path = out / f"{name}-{number}.png"
    return path
