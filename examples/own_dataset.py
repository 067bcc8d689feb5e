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

import numpy as np
import torch
from PIL import Image

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
        self.keys = (self.root / f"{split}.txt").read_text().split()
        self.available = torch.tensor([[self.label_path(key).is_file()] for key in self.keys])

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """The lists."""
        return sorted(path.stem for path in root.glob("*.txt"))

    def label_path(self, key: str) -> Path:
        """The depth map of a photo, which need not be there."""
        return self.root / "range" / f"{key}.png"

    def image_path(self, index: int) -> Path:
        """A photo."""
        return self.root / "photos" / f"{self.keys[index]}.jpg"

    def stored(self, index: int, task: str) -> tuple[np.ndarray, Path]:
        """The numbers of a depth map, and the file that errors name."""
        path = self.label_path(self.keys[index])
        return np.asarray(Image.open(path)), path
