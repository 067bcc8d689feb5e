"""PASCAL-Context as multi-task work uses it: five tasks, two of them computed from MATLAB files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from mtpsl.data.base import PictureDataset
from mtpsl.data.formats import EdgesFormat, HumanPartsFormat, SaliencyFormat, SegmentationFormat
from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.formats.geometry import ResampledNormalsFormat
from mtpsl.data.published.label_cache import DerivedLabels, Plane
from mtpsl.data.published.listing import find_first, read_ids, require_split, require_task_folder, select_formats
from mtpsl.data.published.pascal_classes import VOC_NAMES, voc_colors
from mtpsl.data.published.pascal_labels import context_boundaries, context_edges, human_parts, normals_known
from mtpsl.errors import UserError

#: where the labels of Context lie, which edges and the valid pixels of normals come from
CONTEXT = "pascal-context/trainval"
#: folders of each task's files, the first one first, and their suffix
LABELS = {
    "segmentation": (["semseg/VOC12", "semseg/pascal-context"], ".png"),
    "human_parts": (["human_parts"], ".mat"),
    "normals": (["normals_distill"], ".png"),
    "saliency": (["sal_distill"], ".png"),
    "edges": ([CONTEXT], ".mat"),
}
#: folders of `label_cache` and what computes their labels
DERIVED: dict[str, Callable[[Path], Plane | None]] = {
    "human_parts": human_parts,
    "edges": context_edges,
    "edges_seg2bmap": context_boundaries,
}


class PascalContext(PictureDataset):
    """PASCAL-Context in the release for multi-task work (PASCAL_MT).

        ImageSets/Context/{train,val}.txt      an id per line
        JPEGImages/<id>.jpg
        semseg/VOC12/<id>.png                  0 to 20, 255 unlabelled; an id that is not there is in
        semseg/pascal-context/<id>.png         the same
        human_parts/<id>.mat                   PASCAL-Part: objects with their parts
        normals_distill/<id>.png               2 v / 255 - 1
        sal_distill/<id>.png                   above 127.5 salient
        pascal-context/trainval/<id>.mat       LabelMap: edges lie where its classes meet

    Normals and saliency were predicted by networks. Where the normals' y axis points is not documented; public code
    turns them with the image as if it pointed down, and so does this. As in public code, normals count only at pixels
    of the 170 classes of Context that NYU-v2 has too, and an image without any person's parts has no label of human
    parts. Which those are is found out once: the first use opens every file of `human_parts`, which takes minutes. What
    it found, and the labels computed from .mat files, are kept in `label_cache`.

    Args:
        root: the folder that holds `ImageSets` and `JPEGImages`.
        split: `train` (4998 images) or `val` (5105), a list in `ImageSets/Context`.
        size: height and width to resize to; by default images keep their own (up to 500 x 500).
        tasks: some of segmentation, human_parts, normals, saliency and edges; by default all.
        label_cache: folder in which labels computed from .mat files are kept; by default `<root>/mtpsl_cache`.
        edges: where edges lie: where the `laplacian` of the classes is not zero, as public code trains on them, or
            where `seg2bmap` of the Berkeley benchmark draws them, as published odsF is computed.

    Raises:
        UserError: a folder or a listed file is missing, a .mat file of `human_parts` is broken, or `label_cache` cannot
            be written.
        ValueError: `edges` has another name.

    Source: Maninis, Radosavovic and Kokkinos, "Attentive Single-Tasking of Multiple Tasks", CVPR 2019; Mottaghi et al.,
    "The Role of Context for Object Detection and Semantic Segmentation in the Wild", CVPR 2014; Chen et al., "Detect
    What You Can", CVPR 2014.
    """

    published: ClassVar[dict[str, int]] = {"train": 4998, "val": 5105}

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        size: tuple[int, int] | None = None,
        tasks: Sequence[str] | None = None,
        label_cache: str | Path | None = None,
        edges: str = "laplacian",
    ) -> None:
        if edges not in ("laplacian", "seg2bmap"):
            raise ValueError(f"edges should be laplacian or seg2bmap, not {edges!r}")
        self.kinds = {"human_parts": "human_parts", "edges": "edges" if edges == "laplacian" else "edges_seg2bmap"}
        self.root, self.split, self.name = Path(root), split, "pascal"
        every: dict[str, LabelFormat] = {
            "segmentation": SegmentationFormat(VOC_NAMES, ignore=255, colors=voc_colors()),
            "human_parts": HumanPartsFormat(),
            "normals": ResampledNormalsFormat(loss="l1", y_axis="down"),
            "saliency": SaliencyFormat(threshold=127.5),
            "edges": EdgesFormat(),
        }
        super().__init__(select_formats(every, tasks, self.name), size)
        layout = "give the folder that holds ImageSets/Context/train.txt and JPEGImages (PASCAL_MT)"
        require_split(self.root, split, self.find_splits(self.root), self.name, layout)
        for task in self.tasks:
            for folder in needed_folders(task):
                require_task_folder(self.root / folder, task, [*self.tasks], "unpack the archive again")
        self.derived = DerivedLabels(Path(label_cache) if label_cache is not None else self.root / "mtpsl_cache")
        listed = self.root / "ImageSets" / "Context" / f"{split}.txt"
        ids = read_ids(listed)

        def find(folders: Sequence[str], suffix: str) -> dict[str, Path]:
            return find_first([self.root / folder for folder in folders], suffix, ids, listed)

        images, labels = find(["JPEGImages"], ".jpg"), {task: find(*LABELS[task]) for task in self.tasks}
        self.context = find([CONTEXT], ".mat") if "normals" in self.tasks else {}
        if parts := labels.get("human_parts"):
            title = f"looking for persons in {split}"
            exist = self.derived.existing("human_parts", parts, DERIVED["human_parts"], title)
            labels["human_parts"] = {key: path for key, path in parts.items() if exist[key]}
        self.hold_files(images, labels)

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """The lists in `ImageSets/Context`, if there is a folder `JPEGImages`."""
        if not (root / "JPEGImages").is_dir():
            return []
        return sorted(path.stem for path in (root / "ImageSets" / "Context").glob("[!.]*.txt"))

    def stored(self, index: int, task: str) -> tuple[np.ndarray, Path]:
        """The numbers of a label file, or what was computed from it."""
        key = self.keys[index]
        path = self.labels[task][key]
        if kind := self.kinds.get(task):
            return self.derived.read(kind, key, path, DERIVED[kind]), path
        stored = self.formats[task].load(path)
        return (self._known_normals(stored, path, key) if task == "normals" else stored), path

    def _known_normals(self, stored: np.ndarray, path: Path, key: str) -> np.ndarray:
        """Normals as stored, black (unknown) where Context's class has none."""
        context = self.context[key]
        known = self.derived.read("normals", key, context, normals_known) > 0
        if stored.shape[:2] != known.shape:
            raise UserError(
                f"{path}: should have the size of LabelMap in {context}, {known.shape}, not {stored.shape[:2]}: "
                "unpack the archive again"
            )
        return np.where(known.reshape(known.shape + (1,) * (stored.ndim - 2)), stored, 0)


def needed_folders(task: str) -> list[str]:
    """The folders that a task cannot be read without."""
    if task == "segmentation":
        return ["semseg"]
    return [*LABELS[task][0], CONTEXT] if task == "normals" else LABELS[task][0]
