"""Two of the forms that a data set is converted to, written image by image so that a killed conversion continues."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import yaml
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.formats.lossless import describe, require_equal
from mtpsl.data.layouts.description import parse_description
from mtpsl.data.layouts.packed import DESCRIPTION, VERSION
from mtpsl.data.layouts.records import Record, pack, record_from
from mtpsl.errors import UserError
from mtpsl.files import naming, write_atomically, write_text


@dataclass(frozen=True)
class Item:
    """An image, at the size to store, with target and valid pixels of the tasks that it has a label of.

    `predicted` names those whose label a network predicted.
    """

    key: str
    image: Image.Image | Tensor
    labels: dict[str, tuple[Tensor, Bool[Tensor, "h w"]]]
    predicted: frozenset[str] = frozenset()


class Writer(ABC):
    """Writes a data set into a folder; what an earlier, killed one wrote there completely is kept.

    Args:
        folder: where to write.
        name: the data set's name.
        formats: the tasks and what the source stores for them.
        relations: what is said besides of each task that follows from another one.
        others: what is said besides of all images.
    """

    form: ClassVar[str]

    def __init__(
        self,
        folder: Path,
        name: str,
        formats: Mapping[str, LabelFormat],
        relations: Mapping[str, Mapping[str, Any]] | None = None,
        others: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        related = relations or {}
        tasks = {task: {**describe(task, one), **related.get(task, {})} for task, one in formats.items()}
        self.content = {"name": name, **(others or {}), "tasks": tasks}
        self.formats = parse_description(self.content, folder).formats

    def names(self, keys: Sequence[str]) -> dict[str, str]:
        """What the images of a split are called in the converted set."""
        return {key: key for key in keys}

    @abstractmethod
    def begin(self, split: str, keys: Sequence[str]) -> int:
        """Start or continue a split; how many of its first images are there already."""

    @abstractmethod
    def write(self, item: Item) -> None:
        """Add the next image of the split."""

    @abstractmethod
    def end(self) -> None:
        """Complete the split."""

    @abstractmethod
    def finish(self) -> None:
        """Write the description of all splits."""


class PackedWriter(Writer):
    """One file of numbers per split; a line of JSON per complete image stands in a journal until all are written."""

    form = "packed"

    def __init__(
        self,
        folder: Path,
        name: str,
        formats: Mapping[str, LabelFormat],
        relations: Mapping[str, Mapping[str, Any]] | None = None,
        others: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(folder, name, formats, relations, others)
        self.specs = [one.task(task).target_spec for task, one in self.formats.items()]
        self.splits: dict[str, list[Record]] = {}

    def begin(self, split: str, keys: Sequence[str]) -> int:
        """Keep the images whose line and numbers are whole."""
        journal, numbers = self.journal, self.numbers = self.folder / f"{split}.journal", self.folder / f"{split}.pack"
        for path in (journal, numbers):
            path.touch()
        self.rows: list[Record] = []
        lines, length = 0, 0
        for key, line in zip(keys, journal.read_bytes().splitlines(keepends=True), strict=False):
            try:
                record = record_from(json.loads(line), len(self.specs))
            except (ValueError, TypeError):
                break
            if record.key != key or not line.endswith(b"\n") or length + record.bytes(self.specs) > size(numbers):
                break
            self.rows.append(record)
            lines, length = lines + len(line), length + record.bytes(self.specs)
        os.truncate(journal, lines)
        os.truncate(numbers, length)
        self.splits[split] = self.rows
        return len(self.rows)

    def write(self, item: Item) -> None:
        """Numbers first: a line stands for numbers that are there."""
        labels = [item.labels.get(task) for task in self.formats]
        predicted = [place for place, task in enumerate(self.formats) if task in item.predicted]
        record, content = pack(item.key, item.image, labels, self.specs, predicted)
        append(self.numbers, content)
        append(self.journal, json.dumps(record.row()).encode() + b"\n")
        self.rows.append(record)

    def end(self) -> None:
        """Make sure that the numbers are on the disk."""
        with self.numbers.open("rb") as file:
            os.fsync(file.fileno())

    def finish(self) -> None:
        """Write packed.json; the journals are no more needed."""
        rows = {split: [record.row() for record in records] for split, records in self.splits.items()}
        write_text(self.folder / DESCRIPTION, json.dumps({"version": VERSION, **self.content, "splits": rows}))
        for split in self.splits:
            (self.folder / f"{split}.journal").unlink()


class FolderWriter(Writer):
    """Files as `FolderDataset` reads them; an image's own file is written last, when its labels are there."""

    form = "folder"

    def names(self, keys: Sequence[str]) -> dict[str, str]:
        """Names of files."""
        return file_names(keys)

    def begin(self, split: str, keys: Sequence[str]) -> int:
        """Keep complete files, remove what is half-written."""
        self.split = self.folder / split
        self.stems = file_names(keys)
        folders = [self.split / task for task in ("image", *self.formats)]
        if made := self.content.get("autolabels"):
            self.predicted = self.folder / made["folder"] / split
            folders += [self.predicted / task for task in self.formats]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.glob(".*"):
                path.unlink()
        done = {path.stem for path in (self.split / "image").iterdir()}
        return next((place for place, key in enumerate(keys) if self.stems[key] not in done), len(keys))

    def write(self, item: Item) -> None:
        """Labels, then the image; each file appears whole."""
        stem = self.stems[item.key]
        for task, (target, valid) in item.labels.items():
            reader = self.formats[task]
            path = (self.predicted if task in item.predicted else self.split) / task / f"{stem}{reader.suffix}"
            array = reader.encode(target, valid)
            require_equal(reader, array, path, target, valid)
            save(path, array)
        save(self.split / "image" / f"{stem}.png", picture(item))

    def end(self) -> None:
        """Nothing is left to do."""

    def finish(self) -> None:
        """Write dataset.yaml."""
        text = yaml.safe_dump(self.content, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
        write_text(self.folder / "dataset.yaml", text)


def file_names(keys: Sequence[str]) -> dict[str, str]:
    """A file name for each image: `/` becomes `_`, numbers get leading zeros so that their order stays.

    Raises:
        UserError: two images would get one name.

    >>> file_names(["0", "9", "10"]), file_names(["city/a"])
    ({'0': '00', '9': '09', '10': '10'}, {'city/a': 'city_a'})
    """
    numbers = all(key.isascii() and key.isdigit() for key in keys)
    width = max(map(len, keys), default=0)
    names = {key: key.zfill(width) if numbers else key.replace("/", "_") for key in keys}
    owners: dict[str, str] = {}
    for key, name in names.items():
        if name in owners or name.startswith("."):
            raise UserError(f"image {key!r} cannot be a file {name}.png: convert with --to packed")
        owners[name] = key
    return names


def picture(item: Item) -> np.ndarray:
    """An image as (h, w, 3) of 8 bits.

    Raises:
        UserError: it has values that 8 bits cannot hold.
    """
    if isinstance(item.image, Image.Image):
        return np.asarray(item.image)
    levels = (item.image * 255).round().clamp(0, 255).to(torch.uint8)
    if not torch.equal(levels.float().div_(255), item.image):
        raise UserError(
            f"image {item.key!r} has values that are no multiples of 1/255, which a PNG cannot hold: "
            "convert with --to packed"
        )
    return levels.permute(1, 2, 0).numpy()


def save(path: Path, array: np.ndarray) -> None:
    """Write a PNG or npy file atomically."""
    if path.suffix == ".npy":
        write_atomically(path, lambda temporary: np.save(temporary, array))
    else:
        write_atomically(path, lambda temporary: Image.fromarray(array).save(temporary, compress_level=3))


def append(path: Path, content: bytes) -> None:
    """Add bytes to a file."""
    with naming(path), path.open("ab") as file:
        file.write(content)


def size(path: Path) -> int:
    """Of a file, in bytes."""
    return path.stat().st_size
