"""NYU-v2 as preprocessed for MTAN: numbered arrays of 288 x 384 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from mtpsl.data.formats import DepthFormat, SegmentationFormat
from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.formats.geometry import ResampledNormalsFormat
from mtpsl.data.published.listing import require_split, require_task_folder, select_formats
from mtpsl.data.published.numbered import NumberedDataset
from mtpsl.data.published.nyu_classes import THIRTEEN
from mtpsl.files import sub_folders

FOLDERS = {"segmentation": "label", "depth": "depth", "normals": "normal"}


class NYUv2(NumberedDataset):
    """NYU-v2 in the layout of the MTAN code: `<split>/{image,label,depth,normal}/{i}.npy`, i = 0, 1, ...

    `image` is (h, w, 3) from 0 to 1 (bytes are read as well). `label` holds the 13 classes, -1 where unlabelled (255 in
    copies saved as bytes). `depth` is in meters, 0 where unknown, (h, w, 1) or (h, w). `normal` is (h, w, 3), the zero
    vector where unknown: the preprocessing made the maps smaller, so a shorter vector is brought to length 1, and one
    of length 0.1 or less counts as unknown. Numbers may be stored with any type.

    A task whose folder is missing is left out, unless `tasks` asks for it. The published label splits (row i is
    `train/{i}.npy`) are made for this layout.

    Args:
        root: the folder that holds `train` and `val`.
        split: `train` (795 images) or `val` (654).
        size: height and width to resize to; by default images keep their own (288 x 384).
        tasks: some of segmentation, depth and normals; by default all that there are.

    Raises:
        UserError: a folder is missing, a number is left out, or folders have different numbers of files.

    Source: Liu, Johns and Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, and its public code.
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
        self.root, self.split, self.name = Path(root), split, "nyuv2"
        folder = self.root / split
        every: dict[str, LabelFormat] = {
            "segmentation": SegmentationFormat(THIRTEEN, ignore=[-1, 255]),
            "depth": DepthFormat(),
            "normals": ResampledNormalsFormat(),
        }
        formats = select_formats(every, tasks, self.name)
        layout = "arrays should lie in <split>/image/0.npy, <split>/label/0.npy, <split>/depth/0.npy, ..."
        require_split(self.root, split, self.find_splits(self.root), self.name, layout)
        if tasks is None:
            formats = {task: one for task, one in every.items() if (folder / FOLDERS[task]).is_dir()}
        for task in formats:
            require_task_folder(folder / FOLDERS[task], task, [*formats], "unpack the archive again")
        super().__init__(
            formats, {"image": folder / "image", **{task: folder / FOLDERS[task] for task in formats}}, size
        )

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """The sub-folders with folders for images and labels, other than those of Cityscapes' layout.

        Without `normal`, this layout cannot be told from that of Cityscapes with a folder `label`.
        """
        return [name for name in sub_folders(root) if _is_split(root / name)]


def _is_split(folder: Path) -> bool:
    folders = {*sub_folders(folder)}
    if "image" not in folders or folders & {"label_7", "label_19"}:
        return False
    # a folder of pictures may have `image` and `depth`, too
    return bool(folders & {"label", "normal"}) or ("depth" in folders and any((folder / "image").glob("[0-9]*.npy")))
