"""Splits by the names that people give them: Train is train, valid and validation are val."""

from __future__ import annotations

from collections.abc import Sequence

#: other names of the splits that training and evaluation look for
SAME = {"training": "train", "valid": "val", "validation": "val"}


def find_split(wanted: str, splits: Sequence[str]) -> str | None:
    """The split of this very name, else the only one whose name means the same; None if there is none, or two.

    >>> find_split("val", ["Train", "valid"]), find_split("val", ["valid", "validation"]), find_split("val", ["test"])
    ('valid', None, None)
    """
    if wanted in splits:
        return wanted
    alike = [split for split in splits if _meaning(split) == _meaning(wanted)]
    return alike[0] if len(alike) == 1 else None


def _meaning(name: str) -> str:
    return SAME.get(name.casefold(), name.casefold())
