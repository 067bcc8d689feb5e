"""How much a request may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from mtpsl.errors import UserError


@dataclass(frozen=True)
class Limits:
    """What is refused, and how large pictures are cut.

    Args:
        megabytes: of a picture's file (10^6 bytes).
        megapixels: of a picture (10^6 pixels), found out before it is decoded.
        tile: as in `mtpsl.inference.Predictor.predict_image`.

    Raises:
        UserError: a number makes no sense.
    """

    megabytes: float = 50.0
    megapixels: float = 25.0
    tile: int | None = None

    def __post_init__(self) -> None:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 10**9) / 1e6
        if not 0 < self.megapixels <= most:
            raise UserError(f"--max_megapixels should be above 0 and at most {most:.0f}, not {self.megapixels}")
        if not 0 < self.megabytes <= 4000:
            raise UserError(f"--max_megabytes should be above 0 and at most 4000, not {self.megabytes}")

    @property
    def bytes(self) -> int:
        """The most bytes of a picture's file."""
        return int(self.megabytes * 1e6)

    @property
    def pixels(self) -> int:
        """The most pixels of a picture."""
        return int(self.megapixels * 1e6)
