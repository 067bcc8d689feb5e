"""NYU-v2 as its publishers hand it out: one MATLAB file with all labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image

from mtpsl.camera import Intrinsics
from mtpsl.data.base import StoredDataset, stored_size
from mtpsl.data.formats import DepthFormat
from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.formats.class_names import numbers_by_class
from mtpsl.data.formats.classes import SegmentationFormat
from mtpsl.data.formats.files import ARRAY_SUFFIXES
from mtpsl.data.formats.geometry import ResampledNormalsFormat
from mtpsl.data.published.listing import require_split, select_formats
from mtpsl.data.published.matlab import MatlabRows, read_matlab, whole_numbers_of
from mtpsl.data.published.nyu_classes import FORTY, THIRTEEN, nyu_class_index
from mtpsl.data.relations.depth_normals import normals_from_depth
from mtpsl.errors import UserError

IMAGES = "nyu_depth_v2_labeled.mat"
#: files and where people get them
SOURCES = {
    IMAGES: "the labelled data set (2.8 GB) of the NYU Depth Dataset V2, by Silberman, Hoiem, Kohli and Fergus",
    "splits.mat": "the train/test split from the page of the NYU Depth Dataset V2",
    "classMapping40.mat": "the mapping to 40 classes of Gupta et al. (CVPR 2013), as in the collection nyuv2-meta-data",
}
ARRAYS = {"segmentation": "labels", "depth": "depths"}
SPLITS = {"train": "trainNdxs", "val": "testNdxs"}
#: of the color camera, onto which depth was projected: at 480 x 640 (height x width)
CAMERA, CAMERA_SIZE = Intrinsics(518.86, 519.47, 325.58, 253.74), (480, 640)
#: pixels; a compromise between the sensor's noise and small things
RADIUS = 5


class NYUv2Raw(StoredDataset):
    """NYU-v2 from the published MATLAB files.

        nyu_depth_v2_labeled.mat    images, depths, labels (1449 images of 480 x 640)
        splits.mat                  trainNdxs, testNdxs
        classMapping40.mat          mapClass: the 40 classes of the 894 labels (for segmentation)
        normals/<row>.{png,npy}     optional

    Images are named by their row, from 0, with four digits; their order is that of splits.mat. Unlabelled is 0 in
    `labels`; depth is in meters, 0 where unknown.

    Normals are computed from depth by fitting planes (`relations/depth_normals.py`), in the camera's frame: x right, y
    up, z towards the viewer. They are other labels than those of the preprocessed set, which came from elsewhere. If
    there is a folder `normals`, they are read from it: 0000.png is row 0, 2 v / 255 - 1 (or 0000.npy with vectors);
    vectors shorter than 1 are brought to length 1, those of length 0.1 or less are unknown. It has to hold a file for
    every row, so that a folder that counts from 1 is noticed.

    The images keep the white border of the color camera's projection, which the preprocessed set cuts off.

    Args:
        root: the folder of these files.
        split: `train` (795 images) or `val` (the 654 test images).
        size: height and width to resize to, e.g. 288,384; by default images keep their own (480 x 640).
        tasks: some of segmentation, depth and normals; by default all.
        classes: 13 or 40.

    Raises:
        UserError: a file is missing or lacks what it should have, or a file of normals is missing.

    Source: Silberman, Hoiem, Kohli and Fergus, "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012.
    """

    published: ClassVar[dict[str, int]] = {"train": 795, "val": 654}

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        size: tuple[int, int] | None = None,
        tasks: Sequence[str] | None = None,
        classes: int = 13,
    ) -> None:
        self.root, self.split, self.name = Path(root), split, "nyuv2_raw"
        layout = f"it should hold {IMAGES} and splits.mat"
        require_split(self.root, split, self.find_splits(self.root), self.name, layout)
        nyu_class_index(1, classes)
        every: dict[str, LabelFormat] = {"depth": DepthFormat(), "normals": ResampledNormalsFormat()}
        if tasks is None or not {*tasks} <= {*every}:
            every = {"segmentation": read_classes(self.root / "classMapping40.mat", classes), **every}
        super().__init__(select_formats(every, tasks, self.name), size)
        self.file = MatlabRows(self.root / IMAGES, ["images", *ARRAYS.values()], SOURCES[IMAGES])
        self.rows = read_rows(self.root / "splits.mat", split, self.file.length)
        self.keys = [f"{row:04d}" for row in self.rows]
        self.available: Bool[torch.Tensor, "n k"] = torch.ones((len(self.keys), len(self.tasks)), dtype=torch.bool)
        folder = self.root / "normals"
        self.normals = find_normals(folder, self.file.length) if "normals" in self.tasks and folder.is_dir() else None

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """Both, where one of the two files lies that no other layout has; the constructor says which one is missing."""
        return [*SPLITS] if any((root / name).is_file() for name in (IMAGES, "splits.mat")) else []

    def image(self, index: int) -> Image.Image:
        """The picture as stored."""
        stored = self.file.read("images", self.rows[index])
        if stored.ndim != 3 or stored.shape[2] != 3 or stored.dtype != np.uint8:
            raise UserError(
                f"{self.file.path}: 'images' should hold bytes of 3 channels, not {stored.dtype} of {stored.shape}: "
                f"use {SOURCES[IMAGES]}"
            )
        return Image.fromarray(np.ascontiguousarray(stored))

    def original_size(self, index: int) -> tuple[int, int]:
        """Height and width of every image: they lie in one array."""
        return self._stored_size

    @cached_property
    def _stored_size(self) -> tuple[int, int]:
        return stored_size(self.image(0))

    def stored(self, index: int, task: str) -> tuple[np.ndarray, Path]:
        """The numbers of a label."""
        row = self.rows[index]
        if task in ARRAYS:
            return self.file.read(ARRAYS[task], row), self.file.path
        if self.normals is not None:
            return self.formats[task].load(self.normals[row]), self.normals[row]
        depth, valid = self._depth(row)
        camera = CAMERA.resized(CAMERA_SIZE, (depth.shape[0], depth.shape[1]))
        return normals_from_depth(depth, valid, camera, RADIUS)[0], self.file.path

    def _depth(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        depth, valid = DepthFormat().decode(self.file.read("depths", row), self.file.path)
        return depth[0].numpy().astype(np.float64), valid.numpy()


def read_rows(path: Path, split: str, length: int) -> list[int]:
    """The rows, from 0, of a split's images.

    Raises:
        UserError: the file is missing, or holds something else than rows of the images.
    """
    content = read_matlab(path, [SPLITS[split]], SOURCES["splits.mat"])
    numbers = whole_numbers_of(content[SPLITS[split]], SPLITS[split], path, 1, length)
    if len({*numbers}) < len(numbers):
        raise UserError(f"{path}: {SPLITS[split]!r} names an image twice: copy the file again")
    return [number - 1 for number in numbers]


def read_classes(path: Path, classes: int) -> SegmentationFormat:
    """What the numbers in `labels` mean; the file names the 40 classes if it has `className`.

    Raises:
        UserError: the file is missing, or maps to something else than 40 classes.
    """
    content = read_matlab(path, ["mapClass"], SOURCES["classMapping40.mat"])
    forty = whole_numbers_of(content["mapClass"], "mapClass", path, 1, 40)
    table = {label + 1: nyu_class_index(number, classes) for label, number in enumerate(forty)}
    names = THIRTEEN if classes == 13 else class_names(content.get("className")) or FORTY
    return SegmentationFormat(names, ignore=0, values=numbers_by_class(table, len(names)))


def class_names(cells: np.ndarray | None) -> list[str] | None:
    """The texts of a MATLAB cell array, if these are 40 different ones."""
    entries = [] if cells is None else [np.asarray(cell).ravel() for cell in cells.ravel(order="F")]
    names = [str(entry[0]) for entry in entries if entry.size == 1 and entry.dtype.kind == "U"]
    return names if len(names) == len({*names}) == len(entries) == 40 else None


def find_normals(folder: Path, length: int) -> list[Path]:
    """The file of each row's normals.

    Raises:
        UserError: a row has none, or the folder goes on after the last row.
    """
    names = {path.name for path in folder.iterdir()}
    found = [
        next((f"{row:04d}{end}" for end in ARRAY_SUFFIXES if f"{row:04d}{end}" in names), None) for row in range(length)
    ]
    further = [f"{length:04d}{end}" for end in ARRAY_SUFFIXES if f"{length:04d}{end}" in names]
    if None in found or further:
        problem = f"there is {further[0]}" if further else f"{found.index(None):04d}.png (or .npy) is missing"
        raise UserError(
            f"{folder}: {problem}: it should hold 0000.png to {length - 1:04d}.png, in the order of {IMAGES}; rename "
            "the folder to compute normals from depth"
        )
    return [folder / name for name in found if name is not None]
