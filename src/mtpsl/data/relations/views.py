"""The entry `camera` of a dataset.yaml: one camera, or a table with one for each image."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mtpsl.camera import Camera, Intrinsics
from mtpsl.data.split_names import find_split
from mtpsl.errors import UserError

KEYS = ("focal", "center", "size", "file", "name", "split")
EXAMPLE = "{focal: 500, size: [480, 640]}"
IN_FILE = "{file: views.csv, name: id, focal: focal_px, size: [480, 640]}"


@dataclass(frozen=True)
class CameraDescription:
    """Numbers of a camera, or the columns that hold those of each image's.

    Args:
        focal: lengths along x and y in pixels, or columns.
        center: the optical axis from the first pixel's center, or columns; by default the middle of the image.
        size: height and width of the images that these numbers are for.
        file: a CSV file below the data set's folder.
        name: its column of images' names.
        split: its column of splits; by default names are those of every split.
    """

    focal: tuple[float | str, float | str]
    center: tuple[float | str, float | str] | None
    size: tuple[int, int]
    file: str | None = None
    name: str | None = None
    split: str | None = None

    def cameras(
        self, root: Path, split: str, keys: Sequence[str], others: Sequence[str] = ()
    ) -> Mapping[str, Camera] | Camera:
        """The camera of all images, or of each of some; and of those others that have one.

        Raises:
            UserError: the file is missing, lacks a column or an image, or holds something else than numbers.
        """
        if self.file is None:
            return self._camera({})
        path = root / self.file
        rows = self._rows(path, split)
        if lost := [key for key in keys if key not in rows]:
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            raise UserError(f"{path}: has no camera of image {lost[0]!r}{more} of {split}: add a row")
        try:
            wanted = dict.fromkeys([*keys, *(key for key in others if self._given(rows.get(key)))])
            return {key: self._camera(rows[key]) for key in wanted}
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error

    def _given(self, row: Mapping[str, str] | None) -> bool:
        """Whether there is a row and none of its cells is empty."""
        cells = [entry for entry in (*self.focal, *(self.center or ())) if isinstance(entry, str)]
        return row is not None and all(row[cell] for cell in cells)

    def _rows(self, path: Path, split: str) -> dict[str, dict[str, str]]:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                known = list(reader.fieldnames or [])
                columns = [self.name, self.split, *self.focal, *(self.center or ())]
                for column in columns:
                    if isinstance(column, str) and column not in known:
                        raise UserError(f"{path}: has no column {column!r}: there are {', '.join(known)}")
                rows = list(reader)
        except (OSError, UnicodeError, csv.Error) as error:
            raise UserError(f"{path}: cannot be read as the table of cameras: {error}") from error
        named = str(self.name)
        if self.split is not None:
            wanted = find_split(split, list(dict.fromkeys(str(row[self.split]) for row in rows)))
            rows = [row for row in rows if row[self.split] == wanted]
        return {str(row[named]): row for row in rows}

    def _camera(self, row: Mapping[str, str]) -> Camera:
        def number(entry: float | str) -> float:
            value = row[entry] if isinstance(entry, str) else entry
            try:
                return float(value)
            except (TypeError, ValueError):
                raise ValueError(
                    f"column {entry!r} of image {row[str(self.name)]!r} should be a number, not {value!r}"
                ) from None

        fx, fy = map(number, self.focal)
        height, width = self.size
        cx, cy = ((width - 1) / 2, (height - 1) / 2) if self.center is None else map(number, self.center)
        whose = f" of image {row[str(self.name)]!r}" if row else ""
        if not (0 < fx < math.inf and 0 < fy < math.inf):
            raise ValueError(f"`focal`{whose} should be positive lengths in pixels, not {fx:g} and {fy:g}")
        if not (math.isfinite(cx) and math.isfinite(cy)):
            raise ValueError(f"`center`{whose} should be a place in pixels, not {cx:g} and {cy:g}")
        return Camera(Intrinsics(fx, fy, cx, cy), self.size)


def parse_camera(entry: Any) -> CameraDescription:
    """The entry `camera` of a dataset.yaml.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"`camera` should be as {EXAMPLE}, or with a table {IN_FILE}, not {entry!r}")
    for key in entry:
        if key not in KEYS:
            raise ValueError(f"`camera` has the unknown key {key!r}: known are {', '.join(KEYS)}")
    file, name, split = (entry.get(key) for key in ("file", "name", "split"))
    for key, value in (("file", file), ("name", name), ("split", split)):
        if value is not None and not (isinstance(value, str) and value):
            raise ValueError(f"`{key}` of `camera` should be a text, as {IN_FILE}, not {value!r}")
    if file is None and (name or split):
        raise ValueError(f"`name` and `split` of `camera` are columns of a `file`, as {IN_FILE}")
    if file is not None and (name is None or PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts):
        raise ValueError(
            f"`camera` should give a `file` below the data set's folder and its column of names, as {IN_FILE}"
        )
    size = entry.get("size")
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
        raise ValueError(
            f"`size` of `camera` should be the height and width of the images that it is for, as {EXAMPLE}, "
            f"not {size!r}"
        )
    focal = _pair("focal", entry.get("focal"), in_file=file is not None, single=True)
    center = None
    if entry.get("center") is not None:
        center = _pair("center", entry["center"], in_file=file is not None)
    described = CameraDescription(focal, center, (size[0], size[1]), file, name, split)
    if file is None:
        described.cameras(Path(), "", ())
    return described


def _pair(name: str, value: Any, *, in_file: bool, single: bool = False) -> tuple[float | str, float | str]:
    values = value if isinstance(value, list) else [value, value] if single else []

    def fits(one: Any) -> bool:
        number = isinstance(one, int | float) and not isinstance(one, bool)
        return number or (in_file and isinstance(one, str) and bool(one))

    if len(values) != 2 or not all(map(fits, values)):
        columns = " or names of columns" if in_file else ""
        one = "a number or two" if single else "two numbers"
        raise ValueError(f"`{name}` of `camera` should be {one} of pixels{columns}, along x and y, not {value!r}")
    return values[0], values[1]
