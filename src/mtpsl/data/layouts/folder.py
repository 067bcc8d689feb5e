"""A data set in folders: `<split>/image/<name>.png`, `<split>/<task>/<name>.png`, or others; no file, no label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch

from mtpsl.data.base import PictureDataset
from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.formats.lossless import lossless_format
from mtpsl.data.layouts.description import Description, read_description
from mtpsl.data.layouts.folder_files import SplitFiles, list_autolabels, list_split
from mtpsl.data.layouts.places import SPLIT, Folders
from mtpsl.data.relations.opened import open_related
from mtpsl.data.split_names import find_split
from mtpsl.errors import LayoutError, UserError
from mtpsl.files import sub_folders


class FolderDataset(PictureDataset):
    """Folders of images and labels that a dataset.yaml describes.

    Where there is no file, there is no label. Sub-folders may group images, if they group labels alike.

    Args:
        root: the data set's folder.
        split: one of its sub-folders, or of those that the description makes.
        size: height and width to resize to; by default images keep their own.
        description: the dataset.yaml; by default the one in `root`.
        tasks: the tasks to read; by default all that are described.
        strict: refuse a split whose files have wrong names; otherwise these are left out and listed in
            `files.problems`.

    Raises:
        UserError: a folder or the description is missing or wrong, two files have one name, a label has no image.
    """

    own = True

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
        splits = find_splits(self.root, description)
        described = read_description(self.root / "dataset.yaml" if description is None else description)
        self.name = described.name
        super().__init__(described.select(tasks), size)
        if split not in splits:
            raise UserError(f"{self.root}: there is no split {split!r}: there are {', '.join(splits)}")
        self.files = _list_files(self.root, split, described, [*self.tasks])
        self.described, self.autolabels, given = described, described.autolabels, self.files.labels
        made = {} if self.autolabels is None else list_autolabels(self.autolabels, self.root, split, self.files)
        if self.files.problems and strict:
            raise UserError(self.files.problems[0])
        self._read_predicted = {name: lossless_format(self.formats[name]) for name in made}
        labels = {name: {**made.get(name, {}), **given[name]} for name in given}  # given labels go before
        self.hold_files(dict(sorted(self.files.images.items())), labels)
        self.files = replace(self.files, images=self.images, labels={})  # `labels` of this object has them
        labelled = {name: [key in given[name] for key in self.keys] for name in self.tasks}
        if any(made.values()):
            self.predicted = self.available & ~torch.tensor([*labelled.values()], dtype=torch.bool).T
        related = (described.relations, described.camera, self.formats)
        self.relate(open_related(*related, self.root, split, self.keys, labelled))

    def format_of(self, index: int, task: str) -> LabelFormat:
        """That of the description, or of labels that a run predicted."""
        if self.predicted is not None and self.predicted[index, [*self.tasks].index(task)]:
            return self._read_predicted[task]
        return self.formats[task]

    @classmethod
    def find_splits(cls, root: Path, description: str | Path | None = None) -> list[str]:
        """The sub-folders with an image folder, or the splits that the description names."""
        path = Path(description) if description is not None else root / "dataset.yaml"
        if not path.is_file():
            return Folders().splits(root)
        described = read_description(path)
        if described.split is None:
            return described.folders.splits(root)
        return described.split.splits if described.folders.place(root, "", "image").folder.is_dir() else []


def find_splits(root: Path, description: str | Path | None = None) -> list[str]:
    """The splits of a folder.

    Raises:
        UserError: there is none, or no such root.
    """
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder: give the folder that holds the splits (train, val, ...)")
    splits = FolderDataset.find_splits(root, description)
    if not splits:
        described = Path(description) if description is not None else root / "dataset.yaml"
        if described.is_file() and (folders := read_description(described).folders).written:
            raise UserError(
                f"{root}: there is no folder {folders.template('image')}, which {described} names for images"
            )
        raise LayoutError(f"{root}: there is no split in it", own_layout(root))
    return splits


def _list_files(root: Path, split: str, described: Description, tasks: Sequence[str]) -> SplitFiles:
    """The files of a split, wherever the description says that they lie."""
    folders, by_hash = described.folders, described.split
    places = {name: folders.place(root, split, name) for name in ("image", *tasks)}
    parts = [PurePosixPath(folders.template(name)).parts for name in ("image", *described.formats)]
    beside, depth = (root, 0) if by_hash else (root / split, 1)
    made = set() if described.autolabels is None else {described.autolabels.folder}
    inside = all(len(part) > depth and (by_hash or part[0] == SPLIT) for part in parts)
    return list_split(
        places,
        beside=beside if inside else None,
        known=({part[depth] for part in parts} | made) if inside else (),
        wanted=(lambda key: by_hash.of(key) == split) if by_hash else (lambda key: True),
    )


def own_layout(root: Path) -> str:
    """What a folder lacks to be a data set of one's own."""
    if (root / "image").is_dir():
        if any(find_split(split, [root.resolve().name]) for split in ("train", "val", "test")):
            return f"this is a split: give the folder that holds it, {root.resolve().parent}"
        return f"move {root / 'image'} and the folders of labels beside it into a split, {root / 'train'}"
    for folder in [root, *(root / name for name in sub_folders(root))]:
        for name in sub_folders(folder):
            if name.casefold() in ("image", "images", "img", "imgs", "pictures", "photos", "rgb"):
                return f"rename {folder / name} to {folder / 'image' if folder != root else root / 'train/image'}"
    return (
        f"data of your own needs {root / 'dataset.yaml'}, and images should lie in <split>/image, as in "
        f"{root / 'train/image'}, labels in <split>/<task> (docs/data.md)"
    )
