"""What every data set offers, and how one of stored pictures and arrays is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mtpsl.camera import Camera
from mtpsl.data.autolabels import Autolabels
from mtpsl.data.formats.base import Label, LabelFormat
from mtpsl.data.relations import Relation
from mtpsl.data.relations.base import Cameras, camera_of
from mtpsl.data.relations.opened import Related
from mtpsl.data.shares import Shares
from mtpsl.data.tables import FileTable, StringTable
from mtpsl.data.windows import ShardWindows
from mtpsl.errors import UserError
from mtpsl.pictures import picture_tensor, read_header, read_picture
from mtpsl.structures import Sample
from mtpsl.tasks import Task


class LabelledDataset(Dataset[Sample], ABC):
    """The images of one split, each with the labels that exist."""

    #: what tables call it
    name: str
    #: the tasks that it has labels for, by name
    tasks: dict[str, Task]
    #: a name for every image, unique within the split
    keys: Sequence[str]
    #: which labels exist, known without opening a label
    available: Bool[Tensor, "n k"]
    #: the task from whose labels those of a task follow, as far as it is said, whether or not that one is read
    follows: Mapping[str, str] = {}
    #: for each label the column of the one from which it can be derived, -1 for none; None for no such label at all
    derived_from: Int[Tensor, "n k"] | None = None
    #: which of the labels a network predicted (`mtpsl autolabel`); None where all were given
    predicted: Bool[Tensor, "n k"] | None = None
    #: whether it was put together by whoever trains on it, so that an image without any label is no mistake
    own: ClassVar[bool] = False
    #: how often the images of each source are drawn in training, if there are several sources
    shares: Shares | None = None
    #: the shards in which images lie, if training reads a few of them at a time
    windows: ShardWindows | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Sample:
        return self.read(index, [*self.tasks])

    def read(self, index: int, tasks: Sequence[str]) -> Sample:
        """An image with its labels of some tasks; no other label is opened.

        Raises:
            UserError: a file is broken or holds values that mean nothing.
            ValueError: a task that the data set does not have.
        """
        for name in tasks:
            if name not in self.tasks:
                raise ValueError(f"unknown task {name!r}: {self.name} has {', '.join(self.tasks)}")
        return self._read(range(len(self))[index], tasks)

    def derive(self, index: int, task: str) -> Label:
        """The label of a task that follows from another one of the image, which alone is opened.

        Raises:
            UserError: that one's file is broken, or the image's camera is not one of such images.
            ValueError: nothing is said of how it follows.
        """
        raise ValueError(f"{self.name} does not say how labels of {task} follow from others")

    @property
    def has_cameras(self) -> bool:
        """Whether any image's camera is known."""
        return False

    def camera(self, index: int) -> Float[Tensor, "3 3"] | None:
        """What takes points to pixels of an image as it is read; None where it is unknown, or of another shape."""
        return None

    def image_size(self, index: int) -> tuple[int, int]:
        """Height and width with which an image is read; cheap where the file or the data set says it."""
        return stored_size(self.read(index, []).image)

    def original_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image as it is stored, before it is resized."""
        return self.image_size(index)

    @abstractmethod
    def _read(self, index: int, tasks: Sequence[str]) -> Sample:
        """`read` for an index from 0 and known tasks."""


class StoredDataset(LabelledDataset):
    """A data set whose images and labels are stored; a format per task says what the stored numbers mean.

    A subclass sets `name`, `formats`, `keys`, `available` and `size` and says how one image and one label are fetched.

    Args:
        size: height and width to resize to; None keeps every image's own.
        formats: what is stored for each task.
    """

    #: images of each split as published, for those that have been
    published: ClassVar[Mapping[str, int]] = {}

    root: Path
    size: tuple[int, int] | None
    formats: dict[str, LabelFormat]
    relations: Mapping[str, Relation] = {}
    #: of the images, whether or not labels follow with them
    cameras: Cameras | None = None
    #: the runs that predicted labels, if any
    autolabels: Autolabels | None = None

    def __init__(self, formats: dict[str, LabelFormat], size: Sequence[int] | None) -> None:
        self.size = None if size is None else (int(size[0]), int(size[1]))
        if self.size is not None and min(self.size) < 1:
            raise UserError(f"size should be a positive height and width, not {size}")
        self.formats = formats
        self.tasks = {name: label_format.task(name) for name, label_format in formats.items()}

    @property
    def roots(self) -> list[Path]:
        """The folders in which its files lie."""
        return [self.root]

    @classmethod
    @abstractmethod
    def find_splits(cls, root: Path) -> list[str]:
        """The splits in a folder, without opening a file; none if the folder has another layout."""

    @abstractmethod
    def image(self, index: int) -> Image.Image | Float[Tensor, "3 h w"]:
        """An image as it is stored: a picture, or values from 0 to 1."""

    def image_size(self, index: int) -> tuple[int, int]:
        """Height and width with which an image is read."""
        return self.size or self.original_size(index)

    def original_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image as it is stored."""
        return stored_size(self.image(index))

    def turned(self, index: int) -> bool:
        """Whether an image is turned upright when it is read."""
        return False

    @abstractmethod
    def stored(self, index: int, task: str) -> tuple[np.ndarray, Path]:
        """The stored numbers of a label that exists, (h, w) or (h, w, c), and the file to name in errors."""

    def format_of(self, index: int, task: str) -> LabelFormat:
        """The format in which a label that exists is stored."""
        return self.formats[task]

    def label(self, index: int, task: str, image_size: tuple[int, int] | None) -> tuple[Tensor, Bool[Tensor, "h w"]]:
        """Target and valid pixels of a label that exists, resized.

        Raises:
            UserError: the file is broken, has another size than its image, or holds values that mean nothing.
        """
        stored, path = self.stored(index, task)
        return self.format_of(index, task).interpret(stored, path, image_size, self.size)

    def relate(self, related: Related) -> None:
        """Say which labels follow from others, and the cameras; to be called with `available` and `predicted` known.

        Nothing follows from labels that a network predicted.

        Raises:
            UserError: the first image that has a camera, or can have such a label, has another shape than its camera.
        """
        self.relations, self.follows, self.cameras = related.relations, related.follows, related.cameras
        names = [*self.tasks]
        if self.relations:
            derived_from = self.derived_from = torch.full(self.available.shape, -1)
        for name, relation in self.relations.items():
            column = names.index(relation.source)
            derived_from[:, names.index(name)] = column
            for index in self.available[:, column].nonzero().flatten()[:1].tolist():
                self._require_shape(index, relation.camera(self.keys[index]), f"{name} of ")
            if self.predicted is not None:  # errors would grow (benchmarks/headroom.md)
                derived_from[self.predicted[:, column], names.index(name)] = -1
        for index, key in enumerate(self.keys) if self.cameras else ():
            if camera := camera_of(self.cameras, key):
                self._require_shape(index, camera, "")
                break

    def _require_shape(self, index: int, camera: Camera | None, what: str) -> None:
        try:
            _ = camera and camera.at(self.original_size(index))
        except ValueError as error:
            raise UserError(f"{self.root}: {what}image {self.keys[index]!r}: {error}") from error

    @property
    def has_cameras(self) -> bool:
        """Whether any image's camera is known."""
        return bool(self.cameras) or any(bool(relation.cameras) for relation in self.relations.values())

    def camera(self, index: int) -> Float[Tensor, "3 3"] | None:
        """That of a relation, or the data set's; the head of the image's file is read."""
        for cameras in (*(relation.cameras for relation in self.relations.values()), self.cameras):
            if camera := camera_of(cameras, self.keys[index]):
                original = self.original_size(index)
                try:
                    return torch.tensor(camera.at(original).resized(original, self.size or original).matrix())
                except ValueError:
                    return None
        return None

    def derive(self, index: int, task: str) -> Label:
        """A label from another one as that is stored, then resized as the task's own labels are."""
        relation = self.relations[task]
        target, valid = self.stored_label(index, relation.source)
        try:
            tasks = (self.tasks[relation.source], self.tasks[task])
            target, valid = relation.derive(self.keys[index], tasks, target, valid)
        except ValueError as error:
            raise UserError(f"{self.root}: {task} of image {self.keys[index]!r}: {error}") from error
        if self.size is not None and tuple(valid.shape) != self.size:
            return self.formats[task].resize(target, valid, self.size)
        return target, valid

    def stored_label(self, index: int, task: str) -> Label:
        """Target and valid pixels of a label that exists, at the size at which it is stored.

        Raises:
            UserError: as `label`.
        """
        stored, path = self.stored(index, task)
        size = None if self.size is None else (stored.shape[0], stored.shape[1])
        return self.format_of(index, task).interpret(stored, path, self.original_size(index), size)

    def _read(self, index: int, tasks: Sequence[str]) -> Sample:
        stored = self.image(index)
        sample = Sample(self.keys[index], picture_tensor(stored, self.size))
        for column, name in enumerate(self.tasks):
            if name in tasks and self.available[index, column]:
                sample.targets[name], sample.valid[name] = self.label(index, name, stored_size(stored))
        return sample


class PictureDataset(StoredDataset):
    """A stored data set whose images are picture files; with `hold_files`, also of label files.

    A subclass calls `hold_files` with its files, or says `keys`, `available`, `image_path` and `stored` itself.
    """

    images: Mapping[str, Path]
    labels: Mapping[str, Mapping[str, Path]]

    def hold_files(self, images: Mapping[str, Path], labels: Mapping[str, Mapping[str, Path]]) -> None:
        """Take up the files: a picture by key, in order, and for each task a file by the keys that have a label."""
        exist = [[key in labels[task] for task in self.tasks] for key in images]
        self.images = FileTable(images)
        self.labels = {task: FileTable(files) for task, files in labels.items()}
        self.keys = StringTable(images)
        self.available = torch.tensor(exist, dtype=torch.bool).reshape(-1, len(self.tasks))

    def image_path(self, index: int) -> Path:
        """The file of an image."""
        return self.images[self.keys[index]]

    def stored(self, index: int, task: str) -> tuple[np.ndarray, Path]:
        """The numbers of a label file."""
        path = self.labels[task][self.keys[index]]
        return self.format_of(index, task).load(path), path

    def image(self, index: int) -> Image.Image | Float[Tensor, "3 h w"]:
        """The picture, upright."""
        return read_picture(self.image_path(index))

    def original_size(self, index: int) -> tuple[int, int]:
        """Height and width of the picture, upright, without decoding it."""
        return read_header(self.image_path(index)).size

    def turned(self, index: int) -> bool:
        """Whether the file's EXIF entry has the picture turned."""
        return read_header(self.image_path(index)).turned


def stored_size(image: Image.Image | Tensor) -> tuple[int, int]:
    """Height and width."""
    return (image.height, image.width) if isinstance(image, Image.Image) else (image.shape[-2], image.shape[-1])
