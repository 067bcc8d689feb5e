"""Cityscapes as its publishers hand it out: pictures, label ids and disparities by city."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.base import PictureDataset
from mtpsl.data.formats import DepthFormat
from mtpsl.data.formats.base import Given, Label, LabelFormat, plane, positive
from mtpsl.data.formats.classes import SegmentationFormat
from mtpsl.data.published.cityscapes_classes import cityscapes_classes
from mtpsl.data.published.listing import require_split, require_task_folder, select_formats
from mtpsl.errors import UserError
from mtpsl.files import sub_folders

#: meters and pixels, the usual values; the files in `camera` have each image's own
BASELINE, FOCAL_LENGTH = 0.209313, 2262.52


@dataclass(frozen=True)
class DisparityFormat(DepthFormat):
    """The inverse depth that belongs to a stored disparity p: (p - 1) / 256 pixels over baseline times focal length.

    0 is unknown; 1 is no disparity: infinitely far, which is known.

    Args:
        baseline: distance of the two cameras, in meters.
        focal_length: of the cameras, in pixels.

    >>> target, valid = DisparityFormat().decode(np.array([[0, 1, 32257]], np.uint16), Path("frame.png"))
    >>> [round(value, 4) for value in target.flatten().tolist()], valid.tolist()
    ([0.0, 0.0, 0.2661], [[False, True, True]])
    """

    inverse: Given = True
    unit: Given = "1/m"
    baseline: Given = BASELINE
    focal_length: Given = FOCAL_LENGTH

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("baseline", self.baseline)
        positive("focal_length", self.focal_length)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """Inverse depth (1, h, w) in 1/m; 0 where unknown."""
        stored = plane(stored, path)
        if stored.dtype.kind not in "iu" or stored.dtype == np.uint8:
            raise UserError(f"{path}: a disparity should have 16 bits, not {stored.dtype}: use the file as published")
        valid = stored > 0
        disparity = np.where(valid, stored.astype(np.float64) - 1, 0) / 256
        inverse = torch.from_numpy((disparity / (self.baseline * self.focal_length)).astype(np.float32))
        return inverse[None], torch.from_numpy(valid)


class Cityscapes(PictureDataset):
    """Cityscapes in its official layout.

        leftImg8bit/<split>/<city>/<city>_<seq>_<frame>_leftImg8bit.png
        gtFine/<split>/<city>/<city>_<seq>_<frame>_gtFine_labelIds.png
        disparity/<split>/<city>/<city>_<seq>_<frame>_disparity.png
        camera/<split>/<city>/<city>_<seq>_<frame>_camera.json   (optional)

    Depth is inverse depth in 1/m: the disparity over baseline times focal length, those of the image's camera file if
    there is a folder `camera`, else 0.209313 m and 2262.52 pixels. The preprocessed arrays of the MTAN layout seem to
    hold disparity / 256 (see `CityscapesMTAN`); if so, a value here is 0.541 times theirs, and so are errors. An image
    without one of the two label files has no label of that task; the fine labels of `test` are placeholders without a
    class.

    Args:
        root: the folder that holds `leftImg8bit`, `gtFine` and `disparity`.
        split: `train` (2975 images), `val` (500) or `test` (1525).
        size: height and width to resize to, e.g. 128,256; by default images keep their own (1024 x 2048).
        tasks: some of segmentation and depth; by default both.
        classes: 19, or 7 for the categories.

    Raises:
        UserError: a folder is missing, a label has no image, or a camera file is missing.

    Source: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.
    """

    published: ClassVar[dict[str, int]] = {"train": 2975, "val": 500, "test": 1525}

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        size: tuple[int, int] | None = None,
        tasks: Sequence[str] | None = None,
        classes: int = 19,
    ) -> None:
        self.root, self.split, self.name = Path(root), split, "cityscapes"
        known = cityscapes_classes(classes)
        formats: dict[str, LabelFormat] = {
            "segmentation": SegmentationFormat(known.names, known.ignore, known.colors, values=known.numbers),
            "depth": DisparityFormat(),
        }
        super().__init__(select_formats(formats, tasks, self.name), size)
        layout = "images should lie in leftImg8bit/<split>/<city>"
        require_split(self.root, split, self.find_splits(self.root), self.name, layout)
        for task in self.tasks:
            folder = self.root / FOLDERS[task][0]
            require_task_folder(folder, task, [*self.tasks], f"unpack {folder.name}_trainvaltest.zip there")
        images = self._find("leftImg8bit", "_leftImg8bit.png")
        if not images:
            raise UserError(f"{self.root / 'leftImg8bit' / split}: there is no <city>/*_leftImg8bit.png in it")
        self.hold_files(dict(sorted(images.items())), {task: self._labels(task, images) for task in self.tasks})
        self.camera_files = self._find("camera", "_camera.json") if "depth" in self.tasks else {}
        if self.camera_files:
            for key in self.labels["depth"]:
                if key not in self.camera_files:
                    path = self.root / "camera" / split / self.images[key].parent.name / f"{key}_camera.json"
                    raise UserError(f"{path}: is missing: unpack camera_trainvaltest.zip again, or remove all of them")

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """The folders in `leftImg8bit`."""
        return sub_folders(root / "leftImg8bit")

    def label(self, index: int, task: str, image_size: tuple[int, int] | None) -> tuple[Tensor, Bool[Tensor, "h w"]]:
        """As every data set's, with the image's own camera."""
        camera = self.camera_files.get(self.keys[index]) if task == "depth" else None
        if camera is None:
            return super().label(index, task, image_size)
        disparity = self.formats[task]
        assert isinstance(disparity, DisparityFormat)
        stored, path = self.stored(index, task)
        return replace(disparity, **read_camera(camera)).interpret(stored, path, image_size, self.size)

    def _labels(self, task: str, images: Mapping[str, Path]) -> dict[str, Path]:
        labels = self._find(*FOLDERS[task])
        orphans = sorted(labels.keys() - images.keys())
        if orphans:
            more = f" (nor to {len(orphans) - 1} more)" if len(orphans) > 1 else ""
            raise UserError(
                f"{labels[orphans[0]]}: no image belongs to it{more}: unpack leftImg8bit_trainvaltest.zip again"
            )
        return labels

    def _find(self, folder: str, ending: str) -> dict[str, Path]:
        """The files of one kind by their image's name."""
        cities = self.root / folder / self.split
        paths = [path for city in sub_folders(cities) for path in (cities / city).glob(f"[!.]*{ending}")]
        found = {path.name.removesuffix(ending): path for path in paths}
        if len(found) < len(paths):
            twice = next(path for path in paths if path not in found.values())
            raise UserError(f"{twice}: another city has a file of this name: remove one")
        return found


FOLDERS = {"segmentation": ("gtFine", "_gtFine_labelIds.png"), "depth": ("disparity", "_disparity.png")}


def read_camera(path: Path) -> dict[str, float]:
    """Baseline and focal length out of a camera file.

    Raises:
        UserError: the file is broken or lacks one.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        camera = {"baseline": content["extrinsic"]["baseline"], "focal_length": content["intrinsic"]["fx"]}
        for name, value in camera.items():
            positive(name, value)
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise UserError(
            f"{path}: should hold a positive extrinsic.baseline and intrinsic.fx ({type(error).__name__}): replace it"
        ) from error
    return camera
