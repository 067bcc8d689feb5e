"""Several data sets with different labels as one; every image has the labels that its own set has."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from mtpsl.data.base import StoredDataset
from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.layouts.merged_description import MergedDescription, Source, find_description, read_merged
from mtpsl.data.shares import Shares
from mtpsl.data.split_names import find_split
from mtpsl.errors import UserError


class MergedDataset(StoredDataset):
    """One split of several data sets that train one network; images are named `<source>/<key>`.

    Args:
        root: the YAML file that lists the sources, or the folder with a merged.yaml.
        split: a split that at least one of the sources has.
        size: height and width to resize to; by default that of the YAML file.
        tasks: the tasks to read; by default those of all sources.

    Raises:
        UserError: the YAML file or a source is missing or wrong, or two sources disagree about a task.
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
        described = read_merged(root)
        self.name = described.name
        present = {
            name: source for name, source in described.sources.items() if find_split(split, [*source_splits(source)])
        }
        if not present:
            known = ", ".join(_all(described))
            raise UserError(f"{described.path}: no source has a split {split!r}: there are {known}")
        opened = {name: _open(described, name, split, size or described.size) for name in present}
        formats = agreed_formats(described.path, opened)
        for name in tasks or ():
            if name not in formats:
                raise UserError(f"unknown task {name!r}: the sources of {described.path} have {', '.join(formats)}")
        super().__init__(
            {name: one for name, one in formats.items() if tasks is None or name in tasks}, size or described.size
        )
        self.sources = list(opened.values())
        self._starts = [0, *accumulate(len(source) for source in self.sources)]
        self.keys = [f"{name}/{key}" for name, source in opened.items() for key in source.keys]
        self.available: Bool[Tensor, "n k"] = self._columns(lambda source: source.available)
        if any(source.predicted is not None for source in self.sources):
            self.predicted = self._columns(lambda source: source.predicted)
        counts = [len(source) for source in self.sources]
        numbers = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
        self._relate(described.path, opened)
        shares = [source.share for source in present.values()]
        self.shares = Shares(numbers, [float(share) for share in shares if share]) if all(shares) else None

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """The splits that the sources have; none if there is no such YAML file or it is broken."""
        try:
            return _all(read_merged(root)) if find_description(root) else []
        except UserError:
            return []

    def image(self, index: int) -> Image.Image | Float[Tensor, "3 h w"]:
        """An image as its source has it."""
        source, row = self._place(index)
        return source.image(row)

    def original_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image as its source has it."""
        source, row = self._place(index)
        return source.original_size(row)

    def turned(self, index: int) -> bool:
        """Whether its source turns an image upright."""
        source, row = self._place(index)
        return source.turned(row)

    def stored(self, index: int, task: str) -> tuple[np.ndarray, Path]:
        """A label as its source has it."""
        source, row = self._place(index)
        return source.stored(row, task)

    def label(self, index: int, task: str, image_size: tuple[int, int] | None) -> tuple[Tensor, Bool[Tensor, "h w"]]:
        """A label as its source reads it, resized."""
        source, row = self._place(index)
        return source.label(row, task, image_size)

    @property
    def has_cameras(self) -> bool:
        """Whether any source has cameras."""
        return any(source.has_cameras for source in self.sources)

    def camera(self, index: int) -> Float[Tensor, "3 3"] | None:
        """The camera that its source has."""
        source, row = self._place(index)
        return source.camera(row)

    def derive(self, index: int, task: str) -> tuple[Tensor, Bool[Tensor, "h w"]]:
        """A label as it follows from another one in its source."""
        source, row = self._place(index)
        return source.derive(row, task)

    def _relate(self, path: Path, opened: dict[str, StoredDataset]) -> None:
        names, columns = [*self.tasks], []
        self.follows: dict[str, str] = {}
        for name, source in opened.items():
            for task, start in source.follows.items():
                if self.follows.setdefault(task, start) != start:
                    raise UserError(
                        f"{path}: sources disagree about task {task}: in {name} it follows from {start}, in another "
                        f"from {self.follows[task]}"
                    )
            part = torch.full((len(source), len(names)), -1)
            for task, relation in source.relations.items():
                if source.derived_from is not None and task in names and relation.source in names:
                    follows = source.derived_from[:, [*source.tasks].index(task)] >= 0
                    part[follows, names.index(task)] = names.index(relation.source)
            columns.append(part)
        found = torch.cat(columns)
        self.derived_from = found if bool((found >= 0).any()) else None

    def _columns(self, labels: Callable[[StoredDataset], Bool[Tensor, "n k"] | None]) -> Bool[Tensor, "n k"]:
        """What the sources say of their labels (of none where that is None), in the columns of this set's tasks."""
        names, parts = [*self.tasks], []
        for source in self.sources:
            part, said = torch.zeros((len(source), len(names)), dtype=torch.bool), labels(source)
            for place, name in enumerate(source.tasks):
                if said is not None and name in names:
                    part[:, names.index(name)] = said[:, place]
            parts.append(part)
        return torch.cat(parts)

    @property
    def roots(self) -> list[Path]:
        """The folders of the sources."""
        return [root for source in self.sources for root in source.roots]

    def _place(self, index: int) -> tuple[StoredDataset, int]:
        number = bisect_right(self._starts, index) - 1
        return self.sources[number], index - self._starts[number]


def source_splits(source: Source) -> dict[str, str]:
    """The source's own name of each split of the merged set that it has."""
    from mtpsl.data.registry import splits_of  # it registers this layout

    if source.splits is not None:
        return source.splits
    return {split: split for split in splits_of(source_layout(source), source.root)}


def source_layout(source: Source) -> str:
    """The source's layout.

    Raises:
        UserError: it is a merged set, or one in shards.
    """
    from mtpsl.data.registry import require_layout  # it registers this layout

    layout = require_layout(source.root, source.layout)
    if layout == "merged":
        raise UserError(
            f"{source.root}: a source of a merged set should not be merged itself: list its sources instead"
        )
    if layout == "shards":  # a merged set draws among all images
        raise UserError(f"{source.root}: a source of a merged set cannot be in shards: convert it with --to packed")
    return layout


def agreed_formats(path: Path, sources: dict[str, StoredDataset]) -> dict[str, LabelFormat]:
    """The formats of all tasks, in the order of the sources.

    Raises:
        UserError: two sources mean different things by one task.
    """
    formats: dict[str, LabelFormat] = {}
    owners: dict[str, str] = {}
    for name, source in sources.items():
        for task, label_format in source.formats.items():
            if task not in formats:
                formats[task], owners[task] = label_format, name
                continue
            first, second = formats[task].task(task), label_format.task(task)
            a, b = ({**one.options(), "type": type(one).__name__} for one in (first, second))
            for option in [*a, *b]:
                if option != "colors" and a.get(option) != b.get(option):
                    raise UserError(
                        f"{path}: sources {owners[task]} and {name} disagree about task {task}: {option} is "
                        f"{a.get(option)} and {b.get(option)}: leave it out of the `tasks` of one of them"
                    )
    return formats


def _open(described: MergedDescription, name: str, split: str, size: tuple[int, int]) -> StoredDataset:
    from mtpsl.data.registry import open_layout  # it registers this layout

    source = described.sources[name]
    splits = source_splits(source)
    return open_layout(
        source_layout(source),
        source.root,
        splits[find_split(split, [*splits]) or split],
        size=size,
        tasks=source.tasks,
        **source.options,
    )


def _all(described: MergedDescription) -> list[str]:
    return list(dict.fromkeys(split for source in described.sources.values() for split in source_splits(source)))
