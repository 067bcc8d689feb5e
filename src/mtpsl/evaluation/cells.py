"""The cells of a comparison's tables as text, before any format."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mtpsl.evaluation.compare import DELTA_MTL, HEADROOM, Block, Column, Row

TITLES = {"miou": "mIoU", "rmse": "RMSE", "odsf": "odsF", "abs_err": "abs. error", "rel_err": "rel. error"}
PUBLISHED = "published"
TITLES |= {"mean_err": "mean error", "median_err": "median error", "delta_mtl": "ΔMTL"}


@dataclass(frozen=True)
class Cell:
    """A text, and whether it is the best of its column and label regime."""

    text: str
    best: bool = False


def heading(block: Block) -> str:
    """What all rows of a block share."""
    return f"{f'{block.title}: ' if block.title else ''}{block.setting}: {', '.join(block.tasks)}"


def heads_of(block: Block) -> list[str]:
    """The names of a table's columns: label regime, method, number of seeds, scores with unit and direction.

    A score that some row has a published number of is followed by a column for those.
    """
    heads = ["labels", "method", "seeds"]
    for column in block.columns:
        heads += [_title(column), *([PUBLISHED] if _is_published(block, column) else [])]
    return heads


def cells_of(block: Block) -> list[list[Cell]]:
    """A table's rows, with a cell for each of `heads_of`."""
    columns = []
    for column in block.columns:
        columns.append(_texts(block, column))
        if _is_published(block, column):
            columns.append([Cell(_signed(column, row.published.get(column, ""))) for row in block.rows])
    names = ([Cell(row.regime), Cell(row.method), Cell(_count(row))] for row in block.rows)
    return [[*name, *scores] for name, *scores in zip(names, *columns, strict=True)]


def _is_published(block: Block, column: Column) -> bool:
    return any(column in row.published for row in block.rows)


def _signed(column: Column, printed: str) -> str:
    return f"+{printed}" if column == DELTA_MTL and printed and printed[0] not in "+-" else printed


def _texts(block: Block, column: Column) -> list[Cell]:
    """One column: a number, "–" where it is not defined, nothing where it does not apply."""
    digits = _digits(block, column)
    sign = "+" if column == DELTA_MTL else "-"
    texts = []
    for row in block.rows:
        regime = [other.cells for other in block.rows if other.regime == row.regime and column in other.cells]
        rivals = [round(cells[column].mean, digits) for cells in regime if not math.isnan(cells[column].mean)]
        if column not in row.cells:
            texts.append(Cell(""))
            continue
        cell = row.cells[column]
        if math.isnan(cell.mean):
            texts.append(Cell("–"))
            continue
        spread = "" if math.isnan(cell.std) else f" ± {cell.std:.{digits}f}"
        best = len(rivals) > 1 and round(cell.mean, digits) == (max if column.higher_is_better else min)(rivals)
        texts.append(Cell(f"{cell.mean:{sign}z.{digits}f}{spread}", best))
    return texts


def _digits(block: Block, column: Column) -> int:
    """Decimals: two for percent and degrees, otherwise four significant digits of the largest value."""
    if column == HEADROOM:
        return 0
    means = [abs(row.cells[column].mean) for row in block.rows if column in row.cells]
    largest = max((mean for mean in means if mean > 0), default=10.0)
    return 2 if column.unit in ("%", "deg") else max(2, 3 - math.floor(math.log10(largest)))


def _count(row: Row) -> str:
    counts = sorted({cell.count for cell in row.cells.values()})
    return "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1]))) if counts else ""


def _title(column: Column) -> str:
    name = TITLES.get(column.metric, column.metric.replace("_", " "))
    unit = f" ({'°' if column.unit == 'deg' else column.unit})" if column.unit else ""
    return f"{column.task or ''} {name}{unit} {'↑' if column.higher_is_better else '↓'}".strip()
