"""What a caller may pass as an image, and how a network sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from mtpsl.inference.resize import resized
from mtpsl.pictures import picture_tensor, read_picture, rgb

#: one image: a file, a picture, an array (h, w), (h, w, 3) or (h, w, 4), or a tensor (3, h, w) from 0 to 1
ImageLike: TypeAlias = str | Path | Image.Image | np.ndarray | Tensor
#: what networks are fed from
Picture: TypeAlias = Image.Image | Tensor


def as_picture(image: ImageLike) -> Picture:
    """An image as an upright RGB picture, or as a tensor (3, h, w) from 0 to 1 where 8 bits cannot hold it.

    Arrays hold bytes, 16-bit numbers (divided by 65535) or floating-point numbers from 0 to 1; (h, w) is gray, a fourth
    channel is opacity, over white.

    Raises:
        ValueError: another kind, form or range of values; a file that cannot be read raises `UserError`, which is one.
    """
    if isinstance(image, str | Path):
        return read_picture(Path(image))
    if isinstance(image, Image.Image):
        return rgb(ImageOps.exif_transpose(image))
    if isinstance(image, np.ndarray):
        return from_array(image)
    if isinstance(image, Tensor):
        if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape or not image.is_floating_point():
            raise ValueError(
                f"image should be floating point of shape (3, h, w), not {image.dtype} of shape {tuple(image.shape)}"
            )
        return image
    raise ValueError(f"image should be a path, a PIL image, an array or a tensor, not {type(image).__name__}")


def from_array(image: np.ndarray) -> Picture:
    """An array as a picture.

    Raises:
        ValueError: another form, type or range of values.
    """
    forms = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4))
    if not forms or 0 in image.shape or image.dtype.kind not in "uf" or image.dtype in (np.uint32, np.uint64):
        raise ValueError(
            "image should be an array (h, w, 3) of bytes, 16-bit numbers or floating-point numbers from 0 to 1, not "
            f"{image.dtype} of shape {image.shape}"
        )
    values = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if values.dtype == np.uint8:
        return as_picture(Image.fromarray(np.ascontiguousarray(values)))
    values = values.astype(np.float32) / np.float32(65535 if values.dtype == np.uint16 else 1)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"image should hold values from 0 to 1, not from {values.min():g} to {values.max():g}")
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, 2)
    if values.shape[2] == 4:
        values = values[..., :3] * values[..., 3:] + (1 - values[..., 3:])
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


def size_of(picture: Picture) -> tuple[int, int]:
    """Height and width."""
    if isinstance(picture, Image.Image):
        return picture.height, picture.width
    return picture.shape[-2], picture.shape[-1]


def part(picture: Picture, rows: tuple[int, int], columns: tuple[int, int]) -> Picture:
    """The part between these rows and columns."""
    if isinstance(picture, Image.Image):
        return picture.crop((columns[0], rows[0], columns[1], rows[1]))
    return picture[:, rows[0] : rows[1], columns[0] : columns[1]]


def seen(picture: Picture, size: tuple[int, int]) -> Float[Tensor, "1 3 h w"]:
    """A picture at the size at which a network sees it, resized as the pictures of training are."""
    if isinstance(picture, Image.Image):
        return picture_tensor(picture, size)[None]
    return resized(picture[None].float(), size)
