"""Training images that cannot be read and are left out: their list, in the folder of the run."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

from mtpsl.errors import UserError
from mtpsl.files import naming

FILE = "broken.csv"
#: so many broken images in a row are no accident
MOST_IN_A_ROW = 100


class BrokenImages:
    """The list of a run, to which all its processes add, also when it is continued.

    Args:
        folder: where its broken.csv lies; nothing is written before that folder exists.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._told = folder, set[str]()

    def add(self, key: str, error: UserError) -> None:
        """Note that an image is broken, and say so once."""
        known = self.folder.is_dir() and key in read_broken(self.folder)
        if self.folder.is_dir() and not known:
            line = io.StringIO()
            csv.writer(line, lineterminator="\n").writerow([key, str(error)])
            with naming(self.folder / FILE), (self.folder / FILE).open("a", encoding="utf-8") as file:
                file.write(line.getvalue())  # one short write: lines stay whole
        if not known and key not in self._told:
            print(f"left out: {error}", file=sys.stderr)
        self._told.add(key)


def read_broken(folder: Path) -> dict[str, str]:
    """What was wrong with each training image of a run that was left out, by the image's name."""
    path = folder / FILE
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row[0]: row[1] for row in csv.reader(file) if len(row) == 2}


def broken_note(folder: Path) -> str | None:
    """A line about the training images that were left out; None if there are none."""
    count = len(read_broken(folder))
    verb = "image was" if count == 1 else "images were"
    return f"{count} training {verb} left out as broken: {folder / FILE} lists what is wrong" if count else None
