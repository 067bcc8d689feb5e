"""From the bytes of an upload to a picture, refused before it is decoded where it is too large."""

from __future__ import annotations

from PIL import Image
from starlette.exceptions import HTTPException

from mtpsl.errors import UserError
from mtpsl.inference.images import Picture
from mtpsl.pictures import read_header, read_picture
from mtpsl.serving.limits import Limits


def open_upload(data: bytes, limits: Limits) -> Picture:
    """A picture as `mtpsl.load(RUN).predict` reads it from a file.

    Raises:
        HTTPException: it is no picture, a damaged one, or has too many pixels.
    """
    try:
        height, width = read_header(data).size
    except UserError as error:
        large = isinstance(error.__cause__, Image.DecompressionBombError)
        raise HTTPException(413 if large else 415, str(error)) from error
    if height * width > limits.pixels:
        raise HTTPException(
            413,
            f"the picture has {height}x{width} pixels (height x width), more than {limits.megapixels:g} million: "
            "shrink it, or start the server with more --max_megapixels",
        )
    try:
        return read_picture(data)
    except UserError as error:
        raise HTTPException(400, str(error)) from error
