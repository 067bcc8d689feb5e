"""Taskonomy: indoor views of many buildings, with a folder per task."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtpsl.data.base import PictureDataset
from mtpsl.data.formats import DepthFormat, NormalsFormat
from mtpsl.data.formats.base import Label, LabelFormat
from mtpsl.data.formats.classes import SegmentationFormat
from mtpsl.data.published.listing import require_split, require_task_folder, select_formats
from mtpsl.errors import UserError
from mtpsl.files import sub_folders

#: stored numbers 1 to 17; the objects are a choice of MS COCO's
CLASSES = [
    *("background", "bottle", "chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv", "microwave"),
    *("oven", "toaster", "sink", "refrigerator", "book", "clock", "vase"),
]
FOLDERS = {"segmentation": "segment_semantic", "depth": "depth_zbuffer", "normals": "normal"}
PARTS = ("train", "val", "test")
#: buildings in the published lists whose pictures were never published
WITHOUT_PICTURES = {"tomkins", "darnestown", "brinnon"}
FILE = re.compile(r"point_(\d+)_view_(\d+)_domain_\w+\.png")


#: building, point, view
View = tuple[str, int, int]


@dataclass(frozen=True)
class TaskonomyNormalsFormat(NormalsFormat):
    """2 v / 255 - 1 per component; a pixel that is no unit vector (127 or 128 throughout, or a blend) is unknown.

    A file in which most vectors have a wrong length is refused as ever.
    """

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Unit vectors (3, h, w); zero where unknown."""
        encoding = self.encoding(stored)
        if encoding and stored.ndim == 3 and stored.shape[2] == 3:
            offset, divisor = encoding
            length = np.linalg.norm((stored.astype(np.float32) - offset) / divisor, axis=2)
            vectors = length > 1 / divisor
            blends = vectors & (np.abs(length - 1) > 0.05)
            if blends.sum() <= vectors.sum() / 2:
                stored = np.where(blends[..., None], 0, stored)
        return super().decode(stored, path)


class Taskonomy(PictureDataset):
    """Taskonomy as its download tool leaves it, with the published list of buildings beside it.

        rgb/taskonomy/<building>/point_<p>_view_<v>_domain_rgb.png     (or without the folder `taskonomy`)
        depth_zbuffer/taskonomy/<building>/point_<p>_view_<v>_domain_depth_zbuffer.png
        normal/taskonomy/<building>/point_<p>_view_<v>_domain_normal.png
        segment_semantic/taskonomy/<building>/point_<p>_view_<v>_domain_segmentsemantic.png
        train_val_test_<subset>.csv                                    (here or in a sub-folder)

    The list has the lines `id,train,val,test` and `<building>,1,0,0`. Depth is along the optical axis, in steps of
    1/512 m; 65535 is a hole in the building's mesh, and 0, of which nothing is said, is left out as well. Segmentation
    comes from a network: 0 is "uncertain" and unlabelled, 1 background, 2 to 17 objects. How normals mark holes is not
    documented: what is no unit vector is left out. Textures, keypoints and the other tasks are continuous maps, not
    boundaries, and are not read. Some views lack a label of some task, or their picture; such labels are not used.

    Args:
        root: the folder that holds `rgb`, `depth_zbuffer`, ...
        split: `train`, `val` or `test`; with several lists, e.g. `tiny-train`.
        size: height and width to resize to; by default images keep their own (512 x 512).
        tasks: some of segmentation, depth and normals; by default all.

    Raises:
        UserError: a folder or the list is missing or wrong, or a listed building is not there.

    Source: Zamir et al., "Taskonomy: Disentangling Task Transfer Learning", CVPR 2018, and the notes on its data.
    """

    def __init__(
        self, root: str | Path, split: str, *, size: tuple[int, int] | None = None, tasks: Sequence[str] | None = None
    ) -> None:
        self.root, self.split, self.name = Path(root), split, "taskonomy"
        formats: dict[str, LabelFormat] = {
            "segmentation": SegmentationFormat(CLASSES, ignore=0, values=[*range(1, len(CLASSES) + 1)]),
            "depth": DepthFormat(scale=1 / 512, missing=[0, 65535]),
            "normals": TaskonomyNormalsFormat(),
        }
        super().__init__(select_formats(formats, tasks, self.name), size)
        layout = "pictures should lie in rgb/taskonomy/<building>, and a train_val_test_<subset>.csv beside rgb"
        require_split(self.root, split, self.find_splits(self.root), self.name, layout)
        for task in self.tasks:
            require_task_folder(self.root / FOLDERS[task], task, [*self.tasks], f"download {FOLDERS[task]}")
        buildings = self._buildings()
        images = self._find("rgb", buildings)
        if not images:
            raise UserError(f"{self.root / 'rgb'}: there is no point_<p>_view_<v>_domain_rgb.png of split {split!r}")
        self.hold_files(
            {key_of(view): images[view] for view in sorted(images)},
            {
                task: {key_of(view): path for view, path in self._find(FOLDERS[task], buildings).items()}
                for task in self.tasks
            },
        )

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """Those of train, val and test that a list gives buildings to; with the list's name if there are several."""
        lists = find_lists(root) if (root / "rgb").is_dir() else {}
        names = [(subset, part) for subset, path in lists.items() for part in listed_parts(path)]
        return [part if len(lists) == 1 else f"{subset}-{part}" for subset, part in names]

    def _buildings(self) -> list[str]:
        """The buildings of the split.

        Raises:
            UserError: one has no folder of pictures, though they were published.
        """
        subset, _, part = self.split.rpartition("-")
        lists = find_lists(self.root)
        path = lists[subset] if subset else next(iter(lists.values()))
        listed = read_list(path)[part]
        there = {*sub_folders(domain_folder(self.root, "rgb"))}
        absent = [building for building in listed if building not in there | WITHOUT_PICTURES]
        if absent:
            raise UserError(
                f"{domain_folder(self.root, 'rgb') / absent[0]}: there is no such folder "
                f"({len(absent)} of {len(listed)} buildings of {self.split!r} are missing): download them, or remove "
                f"their lines from {path}"
            )
        return [building for building in listed if building in there]

    def _find(self, domain: str, buildings: Sequence[str]) -> dict[View, Path]:
        """The files of one kind by building, point and view."""
        found = {}
        for building in buildings:
            folder = domain_folder(self.root, domain) / building
            for name in os.listdir(folder) if folder.is_dir() else ():
                if match := FILE.fullmatch(name):
                    found[building, int(match[1]), int(match[2])] = folder / name
        return found


def key_of(view: View) -> str:
    """The name of a view's image."""
    building, point, number = view
    return f"{building}_point_{point}_view_{number}"


def domain_folder(root: Path, domain: str) -> Path:
    """Where the buildings of one kind of file lie."""
    folder = root / domain
    return folder / "taskonomy" if (folder / "taskonomy").is_dir() else folder


def find_lists(root: Path) -> dict[str, Path]:
    """The lists of buildings by the name of the subset: tiny, medium, full, fullplus."""
    paths = [*root.glob("train_val_test_*.csv"), *root.glob("*/train_val_test_*.csv")]
    return {path.stem.removeprefix("train_val_test_"): path for path in sorted(paths, reverse=True)}


def listed_parts(path: Path) -> list[str]:
    """Those of train, val and test that have buildings; all if the list is damaged, which reading it reports."""
    try:
        lists = read_list(path)
    except UserError:
        return [*PARTS]
    return [part for part in PARTS if lists[part]]


def read_list(path: Path) -> dict[str, list[str]]:
    """The buildings that a list gives to train, val and test, sorted.

    Raises:
        UserError: the file is not such a list.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *lines = [line for line in csv.reader(file, strict=True) if line]
        if header != ["id", *PARTS] or any(len(line) != 4 or not {*line[1:]} <= {"0", "1"} for line in lines):
            raise ValueError("another content")
    except (ValueError, csv.Error, OSError) as error:
        raise UserError(
            f"{path}: should be the published list of buildings, `id,train,val,test` and lines such as `hanson,1,0,0` "
            f"({type(error).__name__}): get it again"
        ) from error
    return {part: sorted(line[0] for line in lines if line[column] == "1") for column, part in enumerate(PARTS, 1)}
