"""NYU-v2 in the layout of multi-task work on boundaries: pictures and labels by id, 40 classes, edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from mtpsl.data.base import PictureDataset
from mtpsl.data.formats import DepthFormat, EdgesFormat
from mtpsl.data.formats.base import Label, LabelFormat
from mtpsl.data.formats.classes import SegmentationFormat
from mtpsl.data.formats.geometry import ResampledNormalsFormat
from mtpsl.data.published.listing import find_listed, read_ids, require_split, require_task_folder, select_formats
from mtpsl.data.published.nyu_classes import FORTY

#: folder and suffixes of each task's labels
LABELS = {
    "segmentation": ("segmentation", (".png", ".npy")),
    "depth": ("depth", (".npy",)),
    "normals": ("normals", (".png", ".npy")),
    "edges": ("edge", (".png", ".npy")),
}


@dataclass(frozen=True)
class NYUDEdgesFormat(EdgesFormat):
    """1 on a boundary, 0 elsewhere, 255 unknown; in a PNG of 0 and 255 only, 255 is the boundary.

    Both variants exist: the arrays hold 0 and 1, the pictures 0 and 255.

    >>> format, pixels = NYUDEdgesFormat(), np.array([[0, 255]], np.uint8)
    >>> format.decode(pixels, Path("a.png"))[0].tolist(), format.decode(pixels, Path("a.npy"))[1].tolist()
    ([[[0.0, 1.0]]], [[True, False]])
    """

    ignore: int = 255

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """0 or 1 (1, h, w); 0 where ignored."""
        if path.suffix.lower() == ".png" and not (stored == 1).any():
            stored = np.where(stored == 255, 1, stored)
        return super().decode(stored, path)


class NYUD(PictureDataset):
    """NYU-v2 in the multi-task layout, in both variants (pictures or arrays), which may be mixed.

        gt_sets/{train,val}.txt           an id per line
        images/<id>.{jpg,png}
        segmentation/<id>.png             1 to 40, 0 unlabelled
        depth/<id>.npy                    meters, 0 unknown
        normals/<id>.{png,npy}            2 v / 255 - 1, or vectors; (nearly) zero unknown
        edge/<id>.{png,npy}               0 and 255, or 0 and 1 (255 unknown)

    Normals shorter than 1 are brought to length 1, those of length 0.1 or less are unknown; where their y axis points
    is not documented, and public code turns them with the image as if it pointed down, as is done here. A task whose
    folder is missing is left out, unless `tasks` asks for it.

    Args:
        root: the folder that holds `gt_sets` and `images`.
        split: `train` (795 images) or `val` (654), a list in `gt_sets`.
        size: height and width to resize to; by default images keep their own.
        tasks: some of segmentation, depth, normals and edges; by default all that there are.

    Raises:
        UserError: a folder or a listed file is missing, or two files have one id.

    Source: Maninis, Radosavovic and Kokkinos, "Attentive Single-Tasking of Multiple Tasks", CVPR 2019, and its public
    code; Vandenhende, Georgoulis and Van Gool, "MTI-Net", ECCV 2020.
    """

    published: ClassVar[dict[str, int]] = {"train": 795, "val": 654}

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        size: tuple[int, int] | None = None,
        tasks: Sequence[str] | None = None,
    ) -> None:
        self.root, self.split, self.name = Path(root), split, "nyud"
        every: dict[str, LabelFormat] = {
            "segmentation": SegmentationFormat(FORTY, ignore=0, values=[*range(1, 41)]),
            "depth": DepthFormat(),
            "normals": ResampledNormalsFormat(y_axis="down"),
            "edges": NYUDEdgesFormat(),
        }
        formats = select_formats(every, tasks, self.name)
        layout = "it should hold gt_sets/train.txt, images, segmentation, ..."
        require_split(self.root, split, self.find_splits(self.root), self.name, layout)
        if tasks is None:
            formats = {task: one for task, one in every.items() if (self.root / LABELS[task][0]).is_dir()} or every
        for task in formats:
            require_task_folder(self.root / LABELS[task][0], task, [*formats], "unpack the archive again")
        super().__init__(formats, size)
        listed = self.root / "gt_sets" / f"{split}.txt"
        ids = read_ids(listed)
        self.hold_files(
            find_listed(self.root / "images", (".png", ".jpg", ".jpeg"), ids, listed),
            {task: find_listed(self.root / LABELS[task][0], LABELS[task][1], ids, listed) for task in self.tasks},
        )

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """The lists in `gt_sets`, if there is a folder `images`."""
        return sorted(path.stem for path in (root / "gt_sets").glob("[!.]*.txt")) if (root / "images").is_dir() else []
