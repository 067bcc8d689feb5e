"""The sizes of the images of a run: one, or a line that says which to resize to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from statistics import median_low

from mtpsl.data.partial import PartialDataset
from mtpsl.errors import UserError

#: height and width
Size = tuple[int, int]
#: the longer side of a suggested size is at most this
LONGEST = 512


def check_sizes(train: PartialDataset, validation: PartialDataset) -> None:
    """Require that all images of a run have one size; only the heads of files are read.

    Raises:
        UserError: they have several.
    """
    found = {"training": count_sizes(train), "validation": count_sizes(validation)}
    cure = suggested_size(found["validation"] or found["training"])
    for which, sizes in found.items():
        if len(sizes) > 1:
            listed = ", ".join(words(size) for size, _ in sizes.most_common(3))
            more = f" and {len(sizes) - 3} more" if len(sizes) > 3 else ""
            raise UserError(
                f"{which} images have {len(sizes)} sizes (height x width), {listed}{more}: "
                f"give one to resize all to, as --data.size {option(cure)}"
            )
    (ours,), (theirs,) = found["training"] or [None], found["validation"] or [None]
    if ours is not None and theirs is not None and ours != theirs:
        raise UserError(
            f"validation images are {words(theirs)} (height x width), but training images {words(ours)}: "
            f"give one size to resize all to, as --data.size {option(cure)}"
        )


def count_sizes(dataset: PartialDataset) -> Counter[Size]:
    """How many images have each size."""
    return Counter(dataset.image_size(index) for index in range(len(dataset)))


def suggested_size(sizes: Mapping[Size, int]) -> Size:
    """A size to resize images to: their median height and width, the longer one at most 512.

    It keeps the aspect ratio: networks pad what their stride does not divide, so that no multiple of it is needed.

    >>> suggested_size({(70, 90): 3}), suggested_size({(3024, 4032): 5, (4032, 3024): 1})
    ((70, 90), (384, 512))
    """
    height, width = (median_low([size[axis] for size in Counter(sizes).elements()]) for axis in (0, 1))
    scale = min(1.0, LONGEST / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def words(size: Size) -> str:
    """`64x96`."""
    return f"{size[0]}x{size[1]}"


def option(size: Size) -> str:
    """As the value of `--data.size`."""
    return f"{size[0]},{size[1]}"
