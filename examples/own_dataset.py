"""A data set of your own in a layout that the package does not know: photos, depth in millimeters, a list per split.

    DATA/train.txt, DATA/val.txt     a name a line
    DATA/photos/NAME.jpg             the pictures
    DATA/range/NAME.png              16-bit depth; of some only

mtpsl check DATA --name examples/own_dataset.py:ListedPhotos
mtpsl train --data.name examples/own_dataset.py:ListedPhotos --data.options.unit 0.001 --data.root DATA --out RUN
mtpsl evaluate RUN --trust-code
"""

from collections.abc import Sequence
from pathlib import Path

from mtpsl.data import PictureDataset
from mtpsl.data.formats import DepthFormat


class ListedPhotos(PictureDataset):
    """Photos and depth maps.

    Args:
        root: the folder.
        split: the name of a list in it.
        size: height and width to resize to.
        tasks: the tasks to read; there is `depth`.
        unit: meters of a stored step.
    """

    own = True  # an image without a label is no mistake

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        size: tuple[int, int] | None = None,
        tasks: Sequence[str] | None = None,
        unit: float = 0.001,
    ) -> None:
        self.root, self.name = Path(root), "listed photos"
        super().__init__({"depth": DepthFormat(scale=unit, missing=0)}, size)
        photos, depth = self.root / "photos", self.root / "range"
        keys = (self.root / f"{split}.txt").read_text().split()
        found = {key: depth / f"{key}.png" for key in keys if (depth / f"{key}.png").is_file()}
        self.hold_files({key: photos / f"{key}.jpg" for key in keys}, {"depth": found})

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """The lists."""
        return sorted(path.stem for path in root.glob("*.txt"))
