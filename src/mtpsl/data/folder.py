"""A data set in folders: `<root>/<split>/image/<stem>.png`, `<root>/<split>/<task>/<stem>.png`; no file, no label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from mtpsl.data.arrays import ARRAY_SUFFIXES, IMAGE_SUFFIXES, read_array, read_picture
from mtpsl.data.base import StoredDataset
from mtpsl.data.description import read_description
from mtpsl.errors import UserError

#: suffixes that someone might take for supported; other files (notes, thumbnails' caches) are left alone
FOREIGN_SUFFIXES = {".bmp", ".exr", ".gif", ".h5", ".mat", ".npz", ".pfm", ".pgm", ".ppm", ".tif", ".tiff", ".webp"}
FOREIGN_SUFFIXES |= {*IMAGE_SUFFIXES, *ARRAY_SUFFIXES, ".pt", ".pth"}


class FolderDataset(StoredDataset):
    """Folders of images and labels that a dataset.yaml describes.

    Where there is no file, there is no label.

    Args:
        root: the data set's folder.
        split: one of its sub-folders.
        size: height and width to resize to; by default images keep their own.
        description: the dataset.yaml; by default the one in `root`.
        tasks: the tasks to read; by default all that are described.
        strict: refuse a split whose files have wrong names; otherwise these are left out and listed in
            `files.problems`.

    Raises:
        UserError: a folder or the description is missing or wrong, two files have one name, a label has no image.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        size: tuple[int, int] | None = None,
        description: str | Path | None = None,
        tasks: Sequence[str] | None = None,
        strict: bool = True,
    ) -> None:
        self.root, self.split = Path(root), split
        splits = find_splits(self.root)
        described = read_description(self.root / "dataset.yaml" if description is None else description)
        self.name = described.name
        super().__init__(described.select(tasks), size)
        if split not in splits:
            raise UserError(f"{self.root}: there is no split {split!r}: there are {', '.join(splits)}")
        self.files = list_split(self.root / split, [*self.tasks])
        if self.files.problems and strict:
            raise UserError(self.files.problems[0])
        self.keys = sorted(self.files.images)
        self.available: Bool[Tensor, "n k"] = torch.tensor(
            [[key in self.files.labels[name] for name in self.tasks] for key in self.keys], dtype=torch.bool
        ).reshape(-1, len(self.tasks))

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """The sub-folders with an image folder."""
        return sorted(path.name for path in root.iterdir() if (path / "image").is_dir()) if root.is_dir() else []

    def image(self, index: int) -> Image.Image:
        """The picture as stored."""
        return read_picture(self.files.images[self.keys[index]])

    def stored(self, index: int, task: str) -> tuple[np.ndarray, Path]:
        """The numbers of a label file."""
        path = self.files.labels[task][self.keys[index]]
        return read_array(path, palette=self.formats[task].palette), path


@dataclass(frozen=True)
class SplitFiles:
    """The files of one split by stem, and what is wrong with their names, one line each."""

    images: dict[str, Path]
    labels: dict[str, dict[str, Path]]
    problems: list[str] = field(default_factory=list)


def find_splits(root: Path) -> list[str]:
    """The sub-folders with an image folder.

    Raises:
        UserError: there is none, or no such root.
    """
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder: give the folder that holds the splits (train, val, ...)")
    splits = FolderDataset.find_splits(root)
    if not splits:
        from mtpsl.data.layouts import other_layout  # it imports the registry, which imports this file

        raise UserError(
            f"{root}: there is no split in it: "
            + (other_layout(root, "folder") or f"images should lie in <split>/image, as in {root / 'train/image'}")
        )
    return splits


def list_split(folder: Path, tasks: Sequence[str]) -> SplitFiles:
    """Find the images and labels of a split without opening them."""
    problems: list[str] = []
    images = _by_stem(folder / "image", IMAGE_SUFFIXES, problems)
    if not images:
        problems.append(f"{folder / 'image'}: there is no image in it: put {', '.join(IMAGE_SUFFIXES)} files there")
    labels = {name: _by_stem(folder / name, ARRAY_SUFFIXES, problems) for name in tasks}
    for name, files in labels.items():
        orphans = sorted(files.keys() - images.keys())
        if orphans and images:
            problems.append(
                f"{folder / name}: no image belongs to {_some([files[stem].name for stem in orphans])}: "
                f"a label should have the name of its image in {folder / 'image'}"
            )
    return SplitFiles(images, labels, problems)


def _by_stem(folder: Path, suffixes: Sequence[str], problems: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    twice, foreign = [], []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        suffix = path.suffix.lower()
        if path.name.startswith(".") or not path.is_file():
            continue
        if suffix not in suffixes:
            foreign += [path.name] if suffix in FOREIGN_SUFFIXES else []
        elif path.stem in found:
            twice.append(path.name)
        else:
            found[path.stem] = path
    if twice:
        problems.append(f"{folder}: a second file of the same name: {_some(twice)}: keep one of each")
    if foreign:
        problems.append(
            f"{folder}: files should be {', '.join(suffixes)}, not {_some(foreign)}: convert or remove them"
        )
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
