"""Classes, from the numbers or colors in masks and from files of names beside them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import yaml

from mtpsl.data.formats.meanings import color_codes
from mtpsl.data.guess.entry import Entry, Labels, ranges
from mtpsl.errors import UserError

#: more different numbers or colors than this are no classes
MOST = 64
NAMES = ("classes.txt", "class_names.txt", "labels.txt", "names.txt", "obj.names")
COLORS = ("class_dict.csv", "labelmap.txt", "label_colors.txt")


def guess_classes(labels: Labels, root: Path) -> Entry:
    """Classes, stored numbers and what is unlabelled.

    Raises:
        UserError: numbers or colors that cannot be classes.
    """
    arrays = labels.numbers()
    colored = [array for array in arrays if array.ndim == 3]
    if colored:
        if len(colored) < len(arrays) or any(array.shape[2] != 3 for array in colored):
            odd = labels.paths[next(i for i, array in enumerate(arrays) if array.ndim != 3 or array.shape[2] != 3)]
            raise UserError(f"{odd}: some masks are in colors and this one is not: store all alike")
        return _by_color(labels, colored, root)
    numbers, counts = _count_values([array.ravel() for array in arrays])
    if numbers.dtype.kind == "f" and (numbers != np.round(numbers)).any():
        raise UserError(f"{labels.folder}: masks should hold whole numbers, not {numbers[numbers % 1 != 0][0]:g}")
    _require_classes(labels, len(numbers), counts, "numbers")
    return _by_number(labels, [int(number) for number in numbers], root)


def _by_number(labels: Labels, numbers: list[int], root: Path) -> Entry:
    entry = Entry(f"{labels.amount} hold the numbers {ranges(numbers)}")
    if len(numbers) < 2 or numbers == [0, 255]:
        both = [0, 255] if numbers in ([0, 255], [255]) else [0, max(numbers[-1], 1)]
        entry.add("classes", f"{{{both[0]}: background, {both[1]}: object}}", "name them; the numbers are as stored")
        return entry
    small = [number for number in numbers if number not in (255, 65535, -1)]
    ignored = [number for number in numbers if number not in small] if len(small) > 1 else []
    small = small if len(small) > 1 else numbers
    count, names = small[-1] + 1, _names(root)
    dense = small[0] >= 0 and (len(small) >= 0.75 * count or (len(names) == count and names))
    if dense:
        if len(names) == count:
            entry.add("classes", _listed(names), f"names from {names.source}")
        elif count == 2:
            entry.add("classes", "[background, object]", "name them")
        else:
            absent = count - len(small)
            note = f"; {absent} of them {'was' if absent == 1 else 'were'} not seen" if absent else ""
            entry.add("classes", _listed([f"class_{index}" for index in range(count)]), f"name them{note}")
    else:
        known = f"{{{', '.join(f'{number}: class_{number}' for number in small)}}}"
        entry.add("classes", known, "name them; the numbers are as stored")
    if ignored:
        value = ignored[0] if len(ignored) == 1 else ignored
        entry.add("ignore", value, "unlabelled? if it is a class, name it above")
    elif small[0] == 0:
        entry.add("ignore", "255", "none seen; if 0 means unlabelled, see docs/data.md")
    return entry


def _by_color(labels: Labels, arrays: list[np.ndarray], root: Path) -> Entry:
    codes, counts = _count_values([color_codes(array).ravel() for array in arrays])
    _require_classes(labels, len(codes), counts, "colors")
    found = [[int(code) >> 32, int(code) // 2**16 % 2**16, int(code) % 2**16] for code in codes]
    entry = Entry(f"{labels.amount} hold {len(found)} colors")
    known = _colors(root)
    if known.colors and all(color in known.colors for color in found):
        entry.add("classes", _listed(known), f"names and colors from {known.source}")
        entry.add("colors", known.colors)
        return entry
    ignored = [color for color in found if color in ([224, 224, 192], [255, 255, 255])] if len(found) > 3 else []
    classes = [color for color in found if color not in ignored]
    if len(classes) == 1:
        raise UserError(f"{labels.folder}: all masks read have one color, {classes[0]}: there is nothing to learn")
    black = classes[0] == [0, 0, 0]
    names = ["background" if color == [0, 0, 0] else f"class_{index}" for index, color in enumerate(classes)]
    entry.add("classes", _listed(names), "name them, in the order of the colors")
    entry.add("colors", classes, "if black means unlabelled, move it to ignore: [[0, 0, 0]]" if black else "")
    if ignored:
        entry.add("ignore", ignored, "unlabelled? if it is a class, move it above")
    return entry


def _count_values(arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The different values with their numbers of pixels."""
    parts = [np.unique(array, return_counts=True) for array in arrays]
    values, place = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    return values, np.bincount(place, np.concatenate([part[1] for part in parts]))


def _require_classes(labels: Labels, different: int, counts: np.ndarray, what: str) -> None:
    """Refuse masks that are not made of classes."""
    if different > MOST:
        main = np.sort(counts)[::-1].cumsum() / counts.sum()
        few = int((main < 0.98).sum()) + 1
        cause = (
            "resized with interpolation, drawn with smooth edges or once saved as JPEG"
            if few <= MOST
            else ("numbers of objects, or of another task than classes")
        )
        raise UserError(
            f"{labels.folder}: masks hold {different} {what}, too many for classes ({few} cover 98 % of the pixels): "
            f"perhaps {cause}: export them as PNG without smoothing, say with --folders what they are, or leave them "
            "out with --tasks"
        )


class _Names(list[str]):
    """Names, with the file that they are from, and colors where it has some."""

    source: str = ""
    colors: list[list[int]] = []


def _names(root: Path) -> _Names:
    """Class names from a text file beside the folders: one a line."""
    for name in NAMES:
        if (root / name).is_file():
            found = _Names(line.strip() for line in _text(root / name).splitlines() if line.strip())
            found.source = name
            if len({*found}) == len(found):
                return found
    return _Names()


def _colors(root: Path) -> _Names:
    """Class names with colors from a table beside the folders: name, red, green, blue, or name:red,green,blue::."""
    for name in COLORS:
        if not (root / name).is_file():
            continue
        found = _Names()
        found.source, found.colors = name, []
        for row in csv.reader(_text(root / name).replace(":", ",").splitlines()):
            if len(row) >= 4 and all(part.strip().isdigit() for part in row[1:4]):
                found.append(row[0].strip())
                found.colors.append([int(part) for part in row[1:4]])
        if found and len({*found}) == len(found):
            return found
    return _Names()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _listed(names: list[str]) -> str:
    """Names as a YAML list on one line, quoted where YAML would take them for something else."""
    return yaml.safe_dump([*names], default_flow_style=True, width=10**6, allow_unicode=True).strip()
