"""PNG files with a color table: the places in the table are the numbers, unless only the colors make sense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from mtpsl.data.formats.meanings import UNKNOWN, Meanings, color_codes
from mtpsl.data.formats.stored import Stored
from mtpsl.errors import UserError


def table_numbers(
    stored: Stored, meanings: Meanings, colors: Meanings | None, path: Path
) -> Shaped[np.ndarray, "h w *channels"]:
    """The numbers of a file with a color table, or its colors (h, w, 3).

    The numbers are the places in the table. Programs that make files smaller put the levels of a gray file, or the
    colors of a mask of colors, into the table in any order; so where places mean nothing, what has a meaning is taken.

    Args:
        stored: what the file holds.
        meanings: of the numbers.
        colors: meanings of the codes of colors, where a data set names some.
        path: of the file.

    Raises:
        UserError: places and colors both have a meaning, and not the same.
    """
    table = stored.table
    places = np.unique(stored.numbers)
    if table is None or not places.size or places[-1] >= len(table):
        return stored.numbers
    used = table[places]
    by_place = meanings(places)
    readings = [(table, color_codes(used), colors)]
    if (used == used[:, :1]).all():
        readings.append((table[:, 0], used[:, 0], meanings))
    for content, numbers, known in readings:
        if known is None or len(np.unique(numbers)) < len(numbers):
            continue
        by_color = known(numbers)
        if (by_color == UNKNOWN).any() or (by_color == by_place).all():
            continue
        if (by_place == UNKNOWN).any():
            return content[stored.numbers]
        place = int(np.flatnonzero(by_color != by_place)[0])
        raise UserError(
            f"{path}: place {places[place]} of its color table stands for another class than the color there, "
            f"{used[place].tolist()}: store RGB if colors count, or gray numbers"
        )
    return stored.numbers
