"""Labels at their own size beside images that were resized for a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtpsl.data.base import LabelledDataset
from mtpsl.data.formats.base import Label
from mtpsl.structures import Sample


class OwnSizeLabels(LabelledDataset):
    """The images of one reader with the labels of another one of the same split: what scores at own size are made from.

    Args:
        sized: the split with images and labels resized.
        own: the same with both at the size at which they are stored.

    Raises:
        ValueError: the two differ in images or tasks.
    """

    def __init__(self, sized: LabelledDataset, own: LabelledDataset) -> None:
        if sized.keys != own.keys or [*sized.tasks] != [*own.tasks]:
            raise ValueError("sized and own should be the same split with the same tasks")
        self.sized, self.stored = sized, own
        self.follows, self.derived_from = own.follows, own.derived_from
        self.name, self.tasks, self.keys, self.available = sized.name, sized.tasks, sized.keys, sized.available

    @property
    def roots(self) -> list[Path]:
        """The folders in which its files lie."""
        return list(getattr(self.sized, "roots", []))

    def image_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image as the network sees it."""
        return self.sized.image_size(index)

    def original_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image as it is stored."""
        return self.sized.original_size(index)

    def derive(self, index: int, task: str) -> Label:
        """A label that follows from another one, at its own size."""
        return self.stored.derive(index, task)

    def _read(self, index: int, tasks: Sequence[str]) -> Sample:
        labels = self.stored.read(index, tasks)
        return Sample(self.keys[index], self.sized.read(index, []).image, labels.targets, labels.valid)
