"""The size at which a network sees a picture: such that it looks as the pictures of its training did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median_low

#: height and width
Size = tuple[int, int]
#: a long, narrow picture is not magnified beyond so many times the longer side of the training size
LONGEST = 4


@dataclass(frozen=True)
class TrainingSizes:
    """The size that all pictures of a training were brought to, and the sizes that they had.

    Args:
        size: height and width that the network saw.
        stored: how many pictures had which height and width; by default all had `size`.

    Raises:
        ValueError: a size is not positive.
    """

    size: Size
    stored: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self) -> None:
        if not all(side > 0 for row in (self.size, *self.stored) for side in row):
            raise ValueError(f"image_size should be positive, not {self.size}")

    @classmethod
    def count(cls, size: Size, stored: Iterable[Size]) -> TrainingSizes:
        """From the size of every single picture."""
        return cls(size, tuple((*one, count) for one, count in sorted(Counter(stored).items())))

    def whole(self, height: int, width: int) -> Size:
        """Height and width at which a whole picture is seen.

        A picture as wide, relative to its height, as those of the training (or as one between the narrowest and the
        widest of them) is brought to `size`, as they were. Any other one is squeezed or stretched like the nearest of
        them and keeps its aspect ratio beyond that; its shorter side becomes that of `size`, unless its longer one
        would be more than four times that of `size`.

        >>> TrainingSizes((288, 384), ((480, 640, 795),)).whole(960, 1280)
        (288, 384)
        >>> TrainingSizes((288, 384), ((480, 640, 795),)).whole(640, 480)
        (384, 288)
        >>> TrainingSizes((64, 64), ((64, 256, 8),)).whole(64, 256)
        (64, 64)
        """
        aspects = [w / h for h, w, _ in self.stored] or [self.size[1] / self.size[0]]
        like = min(max(width / height, min(aspects)), max(aspects))
        seen = (height, width * self.size[1] / self.size[0] / like)
        scale = min(min(self.size) / min(seen), LONGEST * max(self.size) / max(seen))
        return max(1, round(seen[0] * scale)), max(1, round(seen[1] * scale))

    def part(self, height: int, width: int) -> Size:
        """Height and width at which a part of a picture is seen whose pixels are like those of the training pictures.

        >>> TrainingSizes((288, 384), ((480, 640, 795),)).part(100, 100)
        (60, 60)
        """
        usual = [
            median_low([row[axis] for row in self.stored for _ in range(row[2])] or [self.size[axis]])
            for axis in (0, 1)
        ]
        return max(1, round(height * self.size[0] / usual[0])), max(1, round(width * self.size[1] / usual[1]))
