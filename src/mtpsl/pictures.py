"""Pictures as training, evaluation and prediction all read them: every common format, upright, as RGB."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import ExifTags, Image, ImageOps, features
from torch import Tensor

from mtpsl.errors import UserError
from mtpsl.png import lower_bytes, png_bits

#: what is opened; Pillow knows more formats, but each one is code that a stranger's file can reach
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "WEBP", "GIF", "TIFF", "AVIF")
#: how such files end, in lower case
SUFFIXES: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".gif", ".tif", ".tiff")
SUFFIXES += (".avif",) if features.check("avif") else ()  # Pillow may have been built without it
#: how other pictures end, which have to be converted
FOREIGN_SUFFIXES = {".avif", ".heic", ".heif", ".jxl", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".psd"}
FOREIGN_SUFFIXES |= {".svg", ".exr", ".hdr", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raw"}
FOREIGN_SUFFIXES -= {*SUFFIXES}

_OPENING = threading.Lock()


@dataclass(frozen=True)
class Header:
    """What a file says of its picture: upright height and width, and whether it lies turned in the file."""

    size: tuple[int, int]
    turned: bool


def read_picture(source: Path | bytes) -> Image.Image | Float[Tensor, "3 h w"]:
    """A picture as RGB, turned upright as its EXIF entry says; one that 8 bits cannot hold as values from 0 to 1.

    Gray pictures get three equal channels, 16 bits (gray, or colors of a PNG) are divided by 65535, floating-point
    pixels should lie between 0 and 1 already, transparent pixels are put on white; of several frames the first is read.

    Args:
        source: a file's path, or what it holds.

    Raises:
        UserError: it cannot be read as a picture, or is larger than Pillow's limit.
    """
    with _reported(source), _bytes_of(source) as file:
        picture = _open(file)
        picture.load()
        cut = png_bits(file) == 16 and picture.mode in ("RGB", "RGBA") and "transparency" not in picture.info
        lower = lower_bytes(_open(file)) if cut else None
        with _OPENING, _unwarned():  # of odd metadata
            for part in (picture, lower):
                if part is not None:
                    ImageOps.exif_transpose(part, in_place=True)
        return rgb(picture) if lower is None else _colors_of_16_bits(picture, lower)


def read_header(source: Path | bytes) -> Header:
    """Size and orientation of a picture, without decoding it; `source` as in `read_picture`.

    Raises:
        UserError: as `read_picture`, as far as the file's head tells.
    """
    with _reported(source), _bytes_of(source) as file:
        picture = _open(file)
        with _OPENING, _unwarned():
            # the method of PNG pictures would decode them in search of an entry behind the pixels
            orientation = Image.Image.getexif(picture).get(ExifTags.Base.Orientation, 1)
        width, height = picture.size
        if orientation in (5, 6, 7, 8) and picture.format != "TIFF":  # of TIFF pictures Pillow tells the upright size
            width, height = height, width
        return Header((height, width), orientation in range(2, 9))


def rgb(picture: Image.Image) -> Image.Image | Float[Tensor, "3 h w"]:
    """A picture of any mode as RGB, or as values from 0 to 1 where 8 bits cannot hold it: see `read_picture`.

    Raises:
        ValueError: floating-point pixels below 0 or above 1, or 32-bit ones above 65535.
    """
    if picture.mode == "F" or picture.mode.startswith("I"):
        top = 1.0 if picture.mode == "F" else 65535.0
        gray = np.asarray(picture).astype(np.float32) / np.float32(top)
        if not (np.isfinite(gray).all() and gray.min() >= 0 and gray.max() <= 1):
            raise ValueError(f"values should lie between 0 and {top:g}")
        return torch.from_numpy(np.repeat(gray[None], 3, 0))
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        if layer.getchannel("A").getextrema() != (255, 255):
            layer = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        picture = layer
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def picture_tensor(
    picture: Image.Image | Float[Tensor, "3 h w"], size: tuple[int, int] | None = None
) -> Float[Tensor, "3 new_h new_w"]:
    """A picture as values from 0 to 1, resized bilinearly with antialiasing."""
    if isinstance(picture, Image.Image):
        if size is not None and picture.size != size[::-1]:
            picture = picture.resize(size[::-1], Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div_(255)
    if size is None or tuple(picture.shape[-2:]) == size:
        return picture
    return torch.nn.functional.interpolate(
        picture[None], size=size, mode="bilinear", align_corners=False, antialias=True
    )[0]


def _bytes_of(source: Path | bytes) -> BufferedReader | BytesIO:
    return source.open("rb") if isinstance(source, Path) else BytesIO(source)


def _open(file: BufferedReader | BytesIO) -> Image.Image:
    with _OPENING, _unwarned():  # of large pictures, which can be read
        return Image.open(file, formats=FORMATS)


@contextmanager
def _unwarned() -> Iterator[None]:
    """No warnings inside; the filters are the process's, so one thread at a time may do this."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _reported(source: Path | bytes) -> Iterator[None]:
    path = source if isinstance(source, Path) else None
    name, cure = ("the picture", "") if path is None else (f"{path}:", ": replace or remove the file")
    try:
        yield
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        found = next((word for word in str(error).split() if word.lstrip("(").isdigit()), "").lstrip("(")
        raise UserError(
            f"{name} has {found} pixels, more than the {limit} that Pillow reads: shrink it, or cut it into tiles"
        ) from error
    except Exception as error:  # a decoder fed with a damaged file raises nearly anything
        if isinstance(error, FileNotFoundError) and path is not None and not path.is_symlink():
            raise UserError(f"{path}: there is no such file") from error  # a link to nothing is there, and is to go
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        elif type(error).__name__ == "UnidentifiedImageError":
            reason = "it is none of " + ", ".join(FORMATS)
        raise UserError(f"{name} cannot be read as a picture ({reason}){cure}") from error


def _colors_of_16_bits(higher: Image.Image, lower: Image.Image) -> Float[Tensor, "3 h w"]:
    numbers = np.asarray(higher).astype(np.float32) * 256 + np.asarray(lower)
    values = torch.from_numpy(numbers / np.float32(65535)).permute(2, 0, 1)
    if len(values) == 4:
        values = values[:3] * values[3:] + (1 - values[3:])
    return values.contiguous()
