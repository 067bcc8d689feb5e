"""A sheet per sample: a row for each task with photo, label, prediction, error and overlay, the score, the colors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor, nn

from mtpsl.files import write_atomically
from mtpsl.structures import Batch
from mtpsl.tasks import Task
from mtpsl.visualization.cells import TaskCells, cells_of_tasks
from mtpsl.visualization.grid import FRAME, GRAY, Size, beside, blank, cell_size, framed, margin, note_box, text, under
from mtpsl.visualization.photo import draw_photo

CAPTIONS = {"label": "label", "prediction": "prediction", "error": "error", "overlay": "prediction on the photo"}
NARROWEST_COLUMN = 200
GAP = 14


def draw_sheet(
    tasks: Sequence[Task],
    image: Float[Tensor, "3 h w"],
    prediction: Mapping[str, Tensor],
    target: Mapping[str, Tensor] | None = None,
    valid: Mapping[str, Bool[Tensor, "h w"]] | None = None,
    *,
    title: str = "",
) -> Image.Image:
    """Draw a row for each task: photo, label, prediction, what is wrong, the prediction on the photo, the legends.

    The same pictures one by one: `cells.draw_cells`.

    Args:
        tasks: the rows.
        image: values from 0 to 1.
        prediction: the RAW prediction of every task, (c, h, w) with the image's height and width.
        target: the labels that there are; a task without one gets empty boxes. None leaves out what needs labels.
        valid: which pixels of a label count, by default all; the others are hatched.
        title: a line above.

    Raises:
        ValueError: a task has no prediction, or one of another size than the image.
    """
    size = cell_size(*image.shape[-2:])
    cells = cells_of_tasks(tasks, image, prediction, target, valid, size)
    overlay = any("overlay" in parts.pictures for parts in cells.values())
    names = [*(["label"] if target is not None else []), "prediction", *(["error"] if target is not None else [])]
    photo = draw_photo(image, size)
    rows: list[Image.Image] = []
    for name, parts in cells.items():
        row = draw_row(name, parts, photo, [*names, *(["overlay"] if overlay else [])], size)
        rows += [blank(row.width, 1), Image.new("RGB", (row.width, 1), FRAME), row] if rows else [row]
    sheet = under(rows, gap=10)
    if title:
        sheet = under([text(title, 19, bold=True, width=max(sheet.width, 300)), sheet], gap=10)
    return margin(sheet)


def save_sheets(
    network: nn.Module, tasks: Sequence[Task], batches: Iterable[Batch], out: Path, limit: int = 8
) -> list[Path]:
    """Draw the first `limit` samples of a loader into `out/<key>.png` and return the files.

    A key's characters that no file should have (`/`, `:`, spaces ...) become `_`.
    """
    files: list[Path] = []
    for key, sheet in draw_sheets(network, tasks, batches, limit):
        path = free_path(out, safe_name(key), files)
        write_atomically(path, sheet.save)
        files.append(path)
    return files


def draw_sheets(
    network: nn.Module, tasks: Sequence[Task], batches: Iterable[Batch], limit: int = 8
) -> Iterator[tuple[str, Image.Image]]:
    """Keys and sheets of the first `limit` samples; the network runs in evaluation mode, where its parameters are."""
    parameter = next(network.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    training = network.training
    network.eval()
    drawn = 0
    try:
        for batch in batches if limit > 0 else ():
            count = min(len(batch), limit - drawn)
            with torch.no_grad():
                raw = network(batch.images[:count].to(device)).predictions
            for row in range(count):
                names = [task.name for task in tasks if task.name in batch.targets]
                yield (
                    batch.keys[row],
                    draw_sheet(
                        tasks,
                        batch.images[row],
                        {name: x[row].float().cpu() for name, x in raw.items()},
                        {name: batch.targets[name][row].cpu() for name in names},
                        {name: batch.valid[name][row].cpu() for name in names},
                        title=batch.keys[row],
                    ),
                )
            drawn += count
            if drawn >= limit:
                break
    finally:
        network.train(training)


def draw_row(name: str, cells: TaskCells, photo: Image.Image, parts: Sequence[str], size: Size) -> Image.Image:
    """The pictures of one task beside each other, below its name and score and above its legends."""
    width = max(size[1] + 2, NARROWEST_COLUMN)
    columns = [cell("photo", photo, size, width)]
    for part in parts:
        if part in cells.pictures:
            columns.append(cell(CAPTIONS[part], cells.pictures[part], size, width))
        elif part == "overlay":
            columns.append(blank(width, 1))
        else:
            columns.append(cell(CAPTIONS[part], None, size, width))
    room = len(columns) * width + (len(columns) - 1) * GAP
    heading = beside(
        [text(name, 18, bold=True, width=room), text(cells.score and f"{cells.score} on this image", 16, color=GRAY)],
        gap=16,
        middle=True,
    )
    return under([heading, beside(columns, gap=GAP), legend_line(cells, parts, width)], gap=6)


def cell(caption: str, picture: Image.Image | None, size: Size, width: int) -> Image.Image:
    """A picture below its caption; an empty box where there is none for want of a label."""
    box = note_box(size, "no label") if picture is None else framed(picture, size)
    return under([text(caption, 15, color=GRAY, width=width), box, blank(width, 1)], gap=3)


def legend_line(cells: TaskCells, parts: Sequence[str], width: int) -> Image.Image:
    """The legends, each from below its first picture on: that of the error alone, the other one as wide as can be."""
    places = {part: i + 1 for i, part in enumerate(parts)}
    first = min(places.values())
    last = places["error"] if "error" in cells.legends else len(parts) + 1
    strip = []
    for part, start, stop in (("prediction", first, last), ("error", last, last + 1 + ("overlay" in places))):
        room = (stop - start) * width + (stop - start - 1) * GAP
        picture = cells.legends[part](room) if part in cells.legends else None
        if picture is not None:
            strip.append((start * (width + GAP), picture))
    line = blank((len(parts) + 1) * (width + GAP) - GAP, max((p.height for _, p in strip), default=1))
    for left, picture in strip:
        line.paste(picture, (left, 0))
    return line


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
