"""The widths of a table's columns in a terminal."""

from __future__ import annotations

from rich.cells import cell_len


class Columns:
    """How wide the columns of a table are, so that no word of a head and no cell is broken.

    Left to itself, rich breaks cells where a table is too wide.

    Args:
        lines: the texts of the head and of each row.
        unbroken: the first columns whose heads may not be broken between words either.
        words: the first columns whose cells may be broken between words.
    """

    def __init__(self, lines: list[list[str]], unbroken: int = 0, words: int = 0) -> None:
        self._least, self._whole = [], []
        for index, (head, *cells) in enumerate(zip(*lines, strict=True)):
            whole = [*head.split("\n"), *cells]
            parts = [*(whole if index < unbroken else head.split()), *cells]
            parts = [word for text in parts for word in text.split()] if index < words else parts
            self._whole.append(max(map(cell_len, whole)))
            self._least.append(max(map(cell_len, parts), default=0))
        self._between = 3 * len(self._least) + 1  # a space to either side of a column, a line before, between, after
        self.least = sum(self._least) + self._between

    def widths(self, available: int) -> list[int]:
        """Every column at its least width, and what is left over to those that are not whole yet, evenly."""
        widths, left = list(self._least), available - self.least
        while left > 0 and (narrow := [i for i, width in enumerate(widths) if width < self._whole[i]]):
            for index in narrow[:left]:
                widths[index] += 1
            left -= len(narrow[:left])
        return widths
