"""Pictures inside a page: as small as the page's limit asks for."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, features

LEVELS = ((1.0, 80), (1.0, 55), (0.75, 50), (0.5, 45), (0.35, 35))
"""Share of the side and quality, from the best to what is taken where a page would be too large."""
FEW_COLORS = 64


@dataclass
class Album:
    """Encodes pictures as data URIs, each once.

    Args:
        scale: of their sides.
        quality: of lossy ones, up to 100; those of few colors are kept without loss.
    """

    scale: float
    quality: int
    _known: dict[bytes, str] = field(default_factory=dict)

    def uri(self, pixels: np.ndarray) -> str:
        """A picture as the value of `src`."""
        key = hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16).digest()
        if key not in self._known:
            self._known[key] = encoded(pixels, self.scale, self.quality)
        return self._known[key]


def encoded(pixels: np.ndarray, scale: float = 1.0, quality: int = 80) -> str:
    """A picture as a data URI: WebP, or PNG and JPEG where Pillow was built without it."""
    picture = Image.fromarray(pixels)
    if scale != 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BOX)
    few = picture.getcolors(FEW_COLORS) is not None
    out = io.BytesIO()
    if features.check("webp"):
        kind = "webp"
        picture.save(out, "WEBP", lossless=few, quality=quality if not few else 20, method=1 if few else 2)
    elif few:
        kind = "png"
        picture.save(out, "PNG", optimize=True)
    else:
        kind = "jpeg"
        picture.save(out, "JPEG", quality=quality)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
