"""What Pillow does not say of a PNG: its bits, and the lower bytes of colors of 16 bits."""

from __future__ import annotations

from io import BufferedReader, BytesIO

from PIL import Image


def png_bits(file: BufferedReader | BytesIO) -> int | None:
    """Bits of each number in a PNG; None for another kind of file."""
    file.seek(0)
    head = file.read(25)
    return head[24] if len(head) == 25 and head.startswith(b"\x89PNG\r\n\x1a\n") else None


def lower_bytes(opened: Image.Image) -> Image.Image:
    """The lower byte of each number of a PNG of 16 bits in RGB or RGBA, where Pillow gives the higher one.

    Args:
        opened: the file as Pillow has opened it, before it is decoded.
    """
    # the same pixels, taken as if the other byte were the higher one
    opened.tile = [tile._replace(args=f"{opened.mode};16L") for tile in opened.tile]  # type: ignore[attr-defined]
    opened.load()
    return opened
