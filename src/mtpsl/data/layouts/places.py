"""Where the images and labels of a folder lie: the entry `folders` of a dataset.yaml."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

SPLIT = "{split}"


@dataclass(frozen=True)
class Place:
    """One folder, and which of its files count: those whose names begin and end alike around their image's name.

    >>> place = Place(Path("masks"), after="_mask")
    >>> place.key_part("a_mask.png"), place.key_part("a.png")
    ('a', None)
    """

    folder: Path
    before: str = ""
    after: str = ""
    #: of the only files that count, with its dot; by default any
    suffix: str = ""

    @property
    def literal(self) -> int:
        """How much of a name is given: of several places in one folder the most special one has a file."""
        return len(self.before) + len(self.after) + len(self.suffix)

    def key_part(self, name: str) -> str | None:
        """What a file's name has in common with its image's, None if the file does not belong here."""
        stem, suffix = os.path.splitext(name)
        inside = stem[len(self.before) : len(stem) - len(self.after)]
        fits = stem.startswith(self.before) and stem.endswith(self.after) and inside
        return inside if fits and self.suffix.lower() in ("", suffix.lower()) else None


@dataclass(frozen=True)
class Folders:
    """The folder of the images and of each task, as written; the task's own name and `image` where none is.

    A path below the data set; `{split}` stands for a split's name, and a last part with `*` for files whose names have
    more than their image's name, as `masks/*_mask`.

    Args:
        written: what dataset.yaml says.
        split_by_name: whether splits are folders; otherwise all lie together.
    """

    written: Mapping[str, str] = field(default_factory=dict)
    split_by_name: bool = True

    def place(self, root: Path, split: str, name: str) -> Place:
        """Where the files of `image` or of a task lie."""
        parts = PurePosixPath(self.template(name).replace(SPLIT, split)).parts
        if not parts or "*" not in parts[-1]:
            return Place(root.joinpath(*parts))
        before, _, after = parts[-1].partition("*")
        ending = PurePosixPath(f"x{after}")
        return Place(root.joinpath(*parts[:-1]), before, ending.stem[1:], ending.suffix)

    def template(self, name: str) -> str:
        """The path with `{split}` in it where splits are folders."""
        written = self.written.get(name, name)
        return f"{SPLIT}/{written}" if self.split_by_name and SPLIT not in written else written

    def splits(self, root: Path) -> list[str]:
        """The splits whose image folder is there, where splits are folders."""
        parts = PurePosixPath(self.template("image")).parts
        place = next(index for index, part in enumerate(parts) if SPLIT in part)
        around = root.joinpath(*parts[:place])
        pattern = re.compile(re.escape(parts[place]).replace(re.escape(SPLIT), "(.+)"))
        if not around.is_dir():
            return []
        found = [pattern.fullmatch(path.name) for path in around.iterdir() if path.is_dir()]
        names = [match[1] for match in found if match and not match[0].startswith(".")]
        return sorted(name for name in names if self.place(root, name, "image").folder.is_dir())


def parse_folders(entry: Any, tasks: Mapping[str, Any], *, split_by_name: bool) -> Folders:
    """The entry `folders` of a dataset.yaml.

    Raises:
        ValueError: it is something else.
    """
    example = "as {image: images, segmentation: masks}"
    if not isinstance(entry, dict) or not all(isinstance(path, str) and path for path in entry.values()):
        raise ValueError(f"`folders` should give a folder to image and to tasks, {example}, not {entry}")
    for name, path in entry.items():
        if name != "image" and name not in tasks:
            raise ValueError(f"`folders` names {name!r}: known are image, {', '.join(tasks)}")
        parts = PurePosixPath(path).parts
        if PurePosixPath(path).is_absolute() or ".." in parts:
            raise ValueError(f"`folders`: {path!r} of {name} should lie below the data set's folder, {example}")
        if "*" in "/".join(parts[:-1]) or path.count("*") > 1:
            raise ValueError(
                f"`folders`: {path!r} of {name} should have one * at most, in its last part, as masks/*_mask"
            )
        if not split_by_name and SPLIT in path:
            raise ValueError(
                f"`folders`: {path!r} of {name} should be without {SPLIT}, since `split` says who is in it"
            )
    folders = Folders(entry, split_by_name)
    written = [folders.template(name) for name in ("image", *tasks)]
    if twice := sorted({path for path in written if written.count(path) > 1}):
        raise ValueError(f"`folders` should give image and every task another folder, not {twice[0]!r} to two")
    return folders
