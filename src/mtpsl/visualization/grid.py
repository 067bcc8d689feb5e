"""Building blocks of pictures: text, boxes, color bars, and how they are put beside and under each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Color = tuple[int, int, int]
Size = tuple[int, int]
"""Height and width."""
INK: Color = (28, 31, 36)
GRAY: Color = (107, 114, 128)
FRAME: Color = (209, 213, 219)
PAPER: Color = (255, 255, 255)
EMPTY: Color = (243, 244, 246)


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib carries, so that names in most scripts can be drawn on every machine."""
    from matplotlib import get_data_path  # drawing only: importing it at the top would slow every start

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / name), size)


def as_picture(colors: Float[Tensor, "3 h w"]) -> Image.Image:
    """RGB from 0 to 1 as a picture; what is not a number is black."""
    pixels = (torch.nan_to_num(colors.detach().float(), nan=0.0).clamp(0, 1) * 255).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy())


def cell_size(height: int, width: int, wanted: int = 320, limit: int = 480) -> tuple[int, int]:
    """Height and width at which a picture is drawn: a small one magnified by a whole factor, a large one shrunk.

    >>> cell_size(96, 128), cell_size(144, 192), cell_size(300, 400), cell_size(3000, 4000)
    ((192, 256), (288, 384), (300, 400), (360, 480))
    """
    longer = max(height, width)
    scale = limit / longer if longer > limit else max(1, round(wanted / longer))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resized(picture: Image.Image, size: Size) -> Image.Image:
    """A picture at (height, width): crisp pixels when magnified, averaged ones when shrunk."""
    height, width = size
    smaller = width < picture.width or height < picture.height
    return picture.resize((width, height), Image.Resampling.BOX if smaller else Image.Resampling.NEAREST)


def framed(picture: Image.Image, size: Size) -> Image.Image:
    """`resized`, with a thin frame."""
    height, width = size
    frame = Image.new("RGB", (width + 2, height + 2), FRAME)
    frame.paste(resized(picture, size), (1, 1))
    return frame


def text(
    words: str, size: int = 14, *, bold: bool = False, color: Color = INK, width: int | None = None
) -> Image.Image:
    """One line; what is wider than `width` ends in an ellipsis."""
    words = " ".join(words.split())
    letters = font(size, bold)
    if width is not None and letters.getlength(words) > width:
        while words and letters.getlength(words + "…") > width:
            words = words[:-1]
        words += "…"
    box = Image.new("RGB", (max(1, int(letters.getlength(words)) + 2), round(size * 1.35)), PAPER)
    ImageDraw.Draw(box).text((0, 0), words, fill=color, font=letters)
    return box


def paragraph(words: str, size: int, width: int, color: Color = INK) -> Image.Image:
    """As many lines as it takes; a word that is wider than `width` is cut into pieces."""
    letters = font(size)
    lines = [""]
    for word in words.split():
        joined = f"{lines[-1]} {word}".lstrip()
        if letters.getlength(joined) <= width or not (word := word.strip()):
            lines[-1] = joined
            continue
        lines += [""] * bool(lines[-1])
        for letter in word:
            if letters.getlength(lines[-1] + letter) > width and lines[-1]:
                lines.append("")
            lines[-1] += letter
    return under([text(line, size, color=color) for line in lines], gap=0)


def note_box(size: tuple[int, int], words: str) -> Image.Image:
    """An empty box as large as a framed picture, with words in the middle."""
    height, width = size
    box = Image.new("RGB", (width + 2, height + 2), FRAME)
    box.paste(EMPTY, (1, 1, width + 1, height + 1))
    if width >= 60 and height >= 20:
        ImageDraw.Draw(box).text((width / 2 + 1, height / 2 + 1), words, fill=GRAY, font=font(15), anchor="mm")
    return box


def blank(width: int, height: int) -> Image.Image:
    """Empty paper."""
    return Image.new("RGB", (max(1, width), max(1, height)), PAPER)


def under(parts: Sequence[Image.Image], gap: int = 6) -> Image.Image:
    """Parts under each other, left-aligned."""
    sheet = blank(max(p.width for p in parts), sum(p.height for p in parts) + gap * (len(parts) - 1))
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height + gap
    return sheet


def beside(parts: Sequence[Image.Image], gap: int = 14, *, middle: bool = False) -> Image.Image:
    """Parts beside each other, top-aligned, or along their middle line."""
    sheet = blank(sum(p.width for p in parts) + gap * (len(parts) - 1), max(p.height for p in parts))
    left = 0
    for part in parts:
        sheet.paste(part, (left, (sheet.height - part.height) // 2 if middle else 0))
        left += part.width + gap
    return sheet


def margin(part: Image.Image, width: int = 16) -> Image.Image:
    """Paper around a picture."""
    sheet = blank(part.width + 2 * width, part.height + 2 * width)
    sheet.paste(part, (width, width))
    return sheet
