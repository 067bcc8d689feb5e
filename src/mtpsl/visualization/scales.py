"""Legends as pictures: names of colors, scales with numbers, disks of directions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from PIL import Image, ImageDraw
from torch import Tensor

from mtpsl.tasks.drawing import ColorDisk, ColorScale
from mtpsl.visualization.grid import GRAY, as_picture, beside, blank, font, framed, paragraph, text, under

SWATCH = 16
SIZE = 15
"""Of the letters of legends."""


def swatches(entries: Sequence[tuple[str, Image.Image]], width: int) -> Image.Image:
    """Small pictures with their names, in as many columns as fit; long names take several lines."""
    room = (width if len(entries) < 4 else max(180, width // 3 - 18)) - SWATCH - 8
    boxes = [
        beside([framed(picture, (SWATCH, SWATCH)), paragraph(name, SIZE, room)], gap=6) for name, picture in entries
    ]
    for rows in range(1, len(boxes) + 1):
        stacks = [under(boxes[i : i + rows], gap=4) for i in range(0, len(boxes), rows)]
        if sum(stack.width + 18 for stack in stacks) - 18 <= width:
            break
    return beside(stacks, gap=18)


def plain(color: Sequence[float]) -> Image.Image:
    """A swatch of one color, as shares of red, green and blue."""
    red, green, blue = (round(255 * share) for share in color)
    return Image.new("RGB", (SWATCH, SWATCH), (red, green, blue))


def scale_bar(scale: ColorScale, width: int) -> Image.Image:
    """Colors from left to right with numbers under them and the unit behind them, or below where it is long."""
    unit = text(scale.unit, SIZE, color=GRAY) if scale.unit else blank(1, 1)
    if unit.width > width / 3:
        return under(
            [scale_bar(replace(scale, unit=""), width), paragraph(scale.unit, SIZE, width - 2, color=GRAY)], gap=0
        )
    letters = font(SIZE)
    marks = [(value, ticked(value, scale)) for value in ticks(scale.low, scale.high)]
    sides = [math.ceil(letters.getlength(marks[i][1]) / 2) + 1 for i in (0, -1)]
    room = max(60, min(420, width - unit.width - sum(sides) - 8))
    while len(marks) > 2 and sum(letters.getlength(words) + 10 for _, words in marks) > room:
        marks = marks[:: 2 if len(marks) % 2 else len(marks) - 1]
    sheet = blank(room + 2 + sum(sides), SWATCH + 8 + round(1.3 * SIZE))
    shown = torch.linspace(0, scale.colors.shape[1] - 1, room).round().long()  # with both ends
    bar = as_picture(scale.colors[:, None, shown])
    sheet.paste(framed(bar, (SWATCH, room)), (sides[0], 0))
    draw = ImageDraw.Draw(sheet)
    for value, words in marks:
        share = (value - scale.low) / (scale.high - scale.low) if scale.high > scale.low else 0.5
        x = sides[0] + 1 + round(share * (room - 1))
        draw.line([(x, SWATCH + 2), (x, SWATCH + 6)], fill=GRAY)
        draw.text((x, SWATCH + 8), words, fill=GRAY, font=letters, anchor="ma")
    return beside([sheet, unit], gap=4)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, at least two and at most one more than `most`; one if both are equal.

    >>> ticks(0.53, 5.87), ticks(0.0, 45.0), ticks(3.0, 3.0)
    ([1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 10.0, 20.0, 30.0, 40.0], [3.0])
    """
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power, 2 * power, 2.5 * power, 5 * power, 10 * power):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first <= most:
            return [i * step for i in range(first, last + 1)] if last > first else [low, high]
    raise AssertionError("ten steps of a tenth always fit")


def ticked(value: float, scale: ColorScale) -> str:
    """A tick's number; the end of a scale that goes on is marked."""
    words = f"{value:.4g}"
    return f"≥ {words}" if scale.beyond and value >= scale.high * (1 - 1e-6) else words


def round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 4, 5, 8 times a power of ten.

    >>> round_up(0.37), round_up(3.0), round_up(80.0), round_up(0.0)
    (0.4, 4.0, 80.0, 1.0)
    """
    if not 0 < value < math.inf:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(float(f"{step * power:.3g}") for step in (1, 2, 2.5, 4, 5, 8, 10) if step * power >= value * (1 - 1e-9))


def direction_disk(disk: ColorDisk, width: int) -> Image.Image:
    """A disk with words at its four sides, and its note beside it or below."""
    colors = as_picture(disk.colors.where(disk.inside, torch.ones(())))
    top, right, bottom, left = (text(words, SIZE, color=GRAY) for words in disk.around)
    line = beside([left, colors, right], gap=6, middle=True)
    middle = left.width + 6 + colors.width // 2
    sheet = blank(max(line.width, middle + top.width // 2), top.height + line.height + bottom.height)
    sheet.paste(top, (max(0, middle - top.width // 2), 0))
    sheet.paste(line, (0, top.height))
    sheet.paste(bottom, (middle - bottom.width // 2, top.height + line.height))
    note = text(disk.note, SIZE, color=GRAY)
    if sheet.width + 18 + note.width > width:
        return under([sheet, paragraph(disk.note, SIZE, width - 2, color=GRAY)])
    return beside([sheet, note], gap=18, middle=True)


def hatched(height: int, width: int, period: int = 9) -> Image.Image:
    """Dark diagonal lines on light gray: no label."""
    line = (torch.arange(height)[:, None] + torch.arange(width)) % period < 2
    return as_picture(torch.where(line, 0.45, 0.8).expand(3, height, width))


def hatch(picture: Image.Image, where: Bool[Tensor, "h w"]) -> Image.Image:
    """A picture with hatched areas; each of its pixels belongs to the nearest one of `where`."""
    mask = Image.fromarray(where.cpu().numpy().astype("uint8") * 255).resize(picture.size, Image.Resampling.NEAREST)
    return Image.composite(hatched(picture.height, picture.width), picture, mask)
