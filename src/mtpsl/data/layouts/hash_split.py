"""A split that needs no folders: a hash of an image's name says whether it is for training or validation."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from mtpsl.data.formats.base import Given, is_integer

#: what `group: sequence` stands for: a name up to its last number
SEQUENCE = r".*(?<!\d)(?=\d+\D*$)"


@dataclass(frozen=True)
class HashSplit:
    """Which split an image is in, by its name alone: the others' files do not matter, so that some can be added.

    Args:
        val: share of the images for validation.
        test: share of the images for a split `test`.
        group: `sequence` keeps images together whose names differ from their last number on (street_0001, street_0002);
            or a regular expression: what it matches at the beginning of a name is the group.
        seed: another seed gives another split.

    >>> split = HashSplit(val=0.5, group="sequence")
    >>> split.of("street_0001") == split.of("street_0002"), split.splits
    (True, ['train', 'val'])
    """

    val: Given = 0.2
    test: Given = 0.0
    group: Given = None
    seed: Given = 0

    def __post_init__(self) -> None:
        for name in ("val", "test"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
                raise ValueError(f"`{name}` should be a share from 0 to below 1, not {value}")
        if self.val + self.test >= 1:
            raise ValueError(f"`val` and `test` should leave images to train on, not be {self.val} and {self.test}")
        if not is_integer(self.seed):
            raise ValueError(f"`seed` should be a whole number, not {self.seed}")
        if self.group is not None and not isinstance(self.group, str):
            raise ValueError(f"`group` should be sequence or a regular expression, not {self.group}")
        try:
            re.compile(self._pattern)
        except re.error as error:
            raise ValueError(
                f"`group` should be sequence or a regular expression, not {self.group!r}: {error}"
            ) from error

    @property
    def splits(self) -> list[str]:
        """The names of the splits."""
        return ["train", *(["val"] if self.val else []), *(["test"] if self.test else [])]

    def of(self, key: str) -> str:
        """The split of an image."""
        digest = hashlib.blake2b(f"{self.seed}\0{self.group_of(key)}".encode(errors="surrogateescape"), digest_size=8)
        place = int.from_bytes(digest.digest(), "big") / 2**64
        if place < self.val:
            return "val"
        return "test" if place < self.val + self.test else "train"

    def group_of(self, key: str) -> str:
        """What the images that stay together have in common; an image's whole name without `group`."""
        found = re.match(self._pattern, key) if self.group else None
        return found[0] if found else key

    @property
    def _pattern(self) -> str:
        return SEQUENCE if self.group == "sequence" else self.group or ""


def parse_split(entry: Any) -> HashSplit:
    """The entry `split` of a dataset.yaml.

    Raises:
        ValueError: it is something else.
    """
    known = ("by", "val", "test", "group", "seed")
    if not isinstance(entry, dict) or entry.get("by") != "hash" or not {*entry} <= {*known}:
        raise ValueError(f"`split` should be as {{by: hash, val: 0.2}} with the keys {', '.join(known)}, not {entry}")
    return HashSplit(**{key: value for key, value in entry.items() if key != "by"})
