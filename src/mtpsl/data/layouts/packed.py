"""A converted data set: one file per split, from which samples are read without decoding.

`<root>/packed.json` holds name, tasks, and of each image its key, height, width and how its numbers are stored;
`<root>/<split>.pack` holds the numbers, image after image in this order.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from mtpsl.data.autolabels import Autolabels, given_labels
from mtpsl.data.base import StoredDataset
from mtpsl.data.layouts.description import parse_description
from mtpsl.data.layouts.records import Record, read_bits, read_numbers, record_from
from mtpsl.data.relations.description import RelationDescription
from mtpsl.data.relations.opened import open_related
from mtpsl.data.relations.views import CameraDescription
from mtpsl.errors import LayoutError, UserError
from mtpsl.files import read_part

DESCRIPTION = "packed.json"
VERSION = 1


class PackedDataset(StoredDataset):
    """One split of a data set that `mtpsl convert` wrote; the same samples as the source gives.

    Args:
        root: the converted data set's folder.
        split: one of its splits.
        size: height and width to resize to; by default images keep the size that they were converted to.
        tasks: the tasks to read; by default all.

    Raises:
        UserError: not a converted set, an unknown split or task, or a file that is cut off or damaged.
    """

    own = True

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        size: tuple[int, int] | None = None,
        tasks: Sequence[str] | None = None,
    ) -> None:
        self.root = Path(root)
        contents = read_contents(self.root)
        self.name = contents.name
        super().__init__(contents.select(tasks), size)
        if split not in contents.splits:
            raise UserError(f"{root}: there is no split {split!r}: there are {', '.join(contents.splits)}")
        self.path = self.root / f"{split}.pack"
        self._columns = [[*contents.formats].index(name) for name in self.tasks]
        self._specs = [label_format.task(name).target_spec for name, label_format in contents.formats.items()]
        self._records = contents.splits[split]
        self._starts = [0, *accumulate(record.bytes(self._specs) for record in self._records)]
        check_size(self.path, self._starts[-1])
        self.keys = [record.key for record in self._records]
        exist = [[record.labels[column] is not None for column in self._columns] for record in self._records]
        self.available: Bool[Tensor, "n k"] = torch.tensor(exist, dtype=torch.bool).reshape(-1, len(self.tasks))
        self._handle: int | None = None
        self.autolabels = contents.autolabels
        if any(record.predicted for record in self._records):
            marks = [[column in record.predicted for column in self._columns] for record in self._records]
            self.predicted = torch.tensor(marks, dtype=torch.bool).reshape(-1, len(self.tasks))
        labelled = given_labels(self.tasks, self.available, self.predicted)
        related = (contents.relations, contents.camera, self.formats)
        self.relate(open_related(*related, self.root, split, self.keys, labelled))

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """The files `<split>.pack` beside packed.json."""
        return sorted(path.stem for path in root.glob("*.pack")) if (root / DESCRIPTION).is_file() else []

    def image(self, index: int) -> Image.Image | Float[Tensor, "3 h w"]:
        """The image as the source gave it: a picture (as a tensor where it need not be resized), or values."""
        record = self._records[index]
        part = record.parts(self._specs).image
        values = read_numbers(self._bytes(index, part.start, part.bytes), part)
        if values.dtype != np.uint8:
            return torch.from_numpy(values.astype(np.float32))
        if record.image == "picture" and self.size not in (None, record.size):
            return Image.fromarray(np.ascontiguousarray(np.moveaxis(values, 0, 2)))
        return torch.from_numpy(values.astype(np.float32)).div_(255)

    def original_size(self, index: int) -> tuple[int, int]:
        """Height and width that an image was converted to, as packed.json says."""
        return self._records[index].size

    def stored(self, index: int, task: str) -> tuple[np.ndarray, Path]:
        """A label's target as (h, w) or (h, w, c)."""
        target = self._target(index, task)[0].numpy()
        return np.moveaxis(target, 0, -1) if target.ndim == 3 else target, self.path

    def label(self, index: int, task: str, image_size: tuple[int, int] | None) -> tuple[Tensor, Bool[Tensor, "h w"]]:
        """Target and valid pixels of a label that exists, resized."""
        target, valid = self._target(index, task)
        if self.size is not None and tuple(valid.shape) != self.size:
            return self.formats[task].resize(target, valid, self.size)
        return target, valid

    def stored_label(self, index: int, task: str) -> tuple[Tensor, Bool[Tensor, "h w"]]:
        """Target and valid pixels of a label that exists, at the size that it was converted to."""
        return self._target(index, task)

    def _target(self, index: int, task: str) -> tuple[Tensor, Bool[Tensor, "h w"]]:
        column = self._columns[[*self.tasks].index(task)]
        record = self._records[index]
        parts = record.parts(self._specs)
        target, valid = parts.targets[column], parts.valid[column]
        if target is None or valid is None:
            raise ValueError(f"{record.key} has no label of {task}")
        numbers = read_numbers(self._bytes(index, target.start, target.bytes), target)
        flags = read_bits(self._bytes(index, valid.start, valid.bit_bytes), valid)
        return torch.from_numpy(np.array(numbers)).to(self._specs[column].dtype), torch.from_numpy(flags)

    def _bytes(self, index: int, start: int, length: int) -> bytes:
        # read, not mapped: a mapped file that becomes shorter ends the process
        try:
            if self._handle is None:
                self._handle = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read ({error.strerror})") from error
        first = self._starts[index] + start
        return read_part(self._handle, self.path, first, first + length)

    def __getstate__(self) -> dict[str, Any]:
        # the number of an open file means nothing to a process that is started
        return {**self.__dict__, "_handle": None}

    def __del__(self) -> None:
        if (handle := self.__dict__.get("_handle")) is not None:
            os.close(handle)


@dataclass(frozen=True)
class Contents:
    """What packed.json says."""

    name: str
    formats: dict[str, Any]
    splits: dict[str, list[Record]]
    path: Path
    relations: dict[str, RelationDescription]
    camera: CameraDescription | None
    autolabels: Autolabels | None

    def select(self, tasks: Sequence[str] | None) -> dict[str, Any]:
        """The formats of some tasks, in the order of the file."""
        for name in tasks or ():
            if name not in self.formats:
                raise UserError(f"unknown task {name!r}: {self.path} has {', '.join(self.formats)}")
        return {name: one for name, one in self.formats.items() if tasks is None or name in tasks}


def read_contents(root: Path) -> Contents:
    """Read packed.json.

    Raises:
        UserError: it is missing or damaged.
    """
    path = root / DESCRIPTION
    if not path.is_file():
        raise LayoutError(f"{path}: there is no such file", "give the folder that `mtpsl convert` wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise UserError(f"{path}: is of version {content['version']}, not {VERSION}: convert the source again")
        said = {key: content[key] for key in ("camera", "autolabels") if key in content}
        described = parse_description({"name": content["name"], "tasks": content["tasks"], **said}, path)
        splits = {
            split: [record_from(row, len(described.formats)) for row in rows]
            for split, rows in content["splits"].items()
        }
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: is damaged ({' '.join(str(error).split())}): convert the source again") from error
    related = (described.relations, described.camera, described.autolabels)
    return Contents(described.name, described.formats, splits, path, *related)


def check_size(path: Path, expected: int) -> None:
    """Require a file's size.

    Raises:
        UserError: it is missing or has another one.
    """
    found = path.stat().st_size if path.is_file() else None
    if found != expected:
        raise UserError(
            f"{path}: should have {expected} bytes as {DESCRIPTION} says, "
            f"{'but is missing' if found is None else f'not {found}'}: copy it again, or convert the source again"
        )
