"""Cityscapes as preprocessed for MTAN: numbered arrays of 128 x 256 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from mtpsl.data.formats import DepthFormat, SegmentationFormat
from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.published.cityscapes_classes import cityscapes_classes
from mtpsl.data.published.listing import require_split, select_formats
from mtpsl.data.published.numbered import NumberedDataset
from mtpsl.files import sub_folders


class CityscapesMTAN(NumberedDataset):
    """Cityscapes in the layout of the MTAN code: `<split>/{image,depth,label_7,label_19}/{i}.npy`, i = 0, 1, ...

    `image` is (h, w, 3) from 0 to 1 (bytes are read as well). The labels are class indices: -1 is unlabelled, as the
    publisher says; 255 is taken for the same. The 7 classes are known by their number only, since the preprocessing
    was never published: the names are Cityscapes' categories in its order, as other public code for these files has
    them. Likewise the 19 classes are taken to be in Cityscapes' usual order.

    `depth` is inverse depth, 0 where unknown, at most 0.4922. Its unit is not documented. The publisher calls it the
    stored disparity; a stored number goes up to 32257, and 32257 / 65535 is 0.4922, so that 1 would be about 256 pixels
    of disparity at full size, and the infinitely far cannot be told from the unknown. Errors are in this unit.

    Which Cityscapes image has which number was never published either, so that label splits for this layout (row i is
    `train/{i}.npy`) fit no other.

    Args:
        root: the folder that holds `train` and `val`.
        split: `train` (2975 images) or `val` (500).
        size: height and width to resize to; by default images keep their own.
        tasks: some of segmentation and depth; by default both.
        classes: 7 (folder `label_7`, else `label`) or 19 (`label_19`).

    Raises:
        UserError: a folder is missing, a number is left out, or folders have different numbers of files.

    Source: Liu, Johns and Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, and its public code.
    """

    published: ClassVar[dict[str, int]] = {"train": 2975, "val": 500}

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        size: tuple[int, int] | None = None,
        tasks: Sequence[str] | None = None,
        classes: int = 7,
    ) -> None:
        self.root, self.split, self.name = Path(root), split, "cityscapes_mtan"
        known = cityscapes_classes(classes)
        formats: dict[str, LabelFormat] = {
            "segmentation": SegmentationFormat(known.names, ignore=[-1, 255], colors=known.colors),
            "depth": DepthFormat(inverse=True, unit=""),
        }
        chosen = select_formats(formats, tasks, self.name)
        layout = "arrays should lie in <split>/image/0.npy, <split>/depth/0.npy, <split>/label_7/0.npy, ..."
        require_split(self.root, split, self.find_splits(self.root), self.name, layout)
        folder = self.root / split
        labels = folder / f"label_{classes}"
        if classes == 7 and not labels.is_dir() and (folder / "label").is_dir():
            labels = folder / "label"
        super().__init__(chosen, {"image": folder / "image", "segmentation": labels, "depth": folder / "depth"}, size)

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """The sub-folders with numbered images and labels; none where one has the normals that NYU-v2 has."""
        found = [
            name
            for name in sub_folders(root)
            if (root / name / "image" / "0.npy").is_file()
            and any((root / name / labels).is_dir() for labels in ("label_7", "label_19", "label"))
        ]
        return [] if any((root / name / "normal").is_dir() for name in found) else found
