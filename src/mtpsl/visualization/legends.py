"""What the colors of a task's pictures mean."""

from __future__ import annotations

from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from mtpsl.tasks import Task
from mtpsl.tasks.drawing import ColorDisk, ColorNames, ColorScale
from mtpsl.tasks.drawing import Legend as Meaning
from mtpsl.visualization.grid import under
from mtpsl.visualization.scales import SWATCH, direction_disk, hatched, plain, scale_bar, swatches

Entry = tuple[str, Image.Image]


def legend(task: Task, values: Tensor, valid: Bool[Tensor, "b h w"], width: int) -> Image.Image | None:
    """The legend of the labels and decoded predictions `values`, or None for a task that needs none."""
    return drawn(task.legend(values, valid), width)


def drawn(meaning: Meaning | None, width: int, more: list[Entry] | None = None) -> Image.Image | None:
    """A legend as a picture, with further entries below or behind; None where there is nothing to say."""
    entries = list(more or ())
    parts = []
    if isinstance(meaning, ColorNames):
        entries = [(name, plain(color)) for name, color in meaning.entries] + entries
    elif isinstance(meaning, ColorScale):
        parts.append(scale_bar(meaning, width))
    elif isinstance(meaning, ColorDisk):
        parts.append(direction_disk(meaning, width))
    if entries:
        parts.append(swatches(entries, width))
    return under(parts, gap=8) if parts else None


def unlabelled() -> Entry:
    """What hatched areas mean."""
    return "no label here", hatched(SWATCH, SWATCH)
