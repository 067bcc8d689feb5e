"""The layout of a paper's table: its rows in its order, and its numbers beside those measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mtpsl.evaluation.compare import DELTA_MTL, HEADROOM, Block, Column, Comparison, Row

Printed = Mapping[tuple[str | None, str], str]
"""Numbers as printed, by task and metric; the task of ΔMTL is None."""


@dataclass(frozen=True)
class Layout:
    """What a table should look like.

    Args:
        title: stands above it.
        rows: label regime and method of every row, in order; rows that are not named follow.
        published: the numbers of a paper by label regime and method.
        notes: lines to print below the table, before all others.
    """

    title: str
    rows: tuple[tuple[str, str], ...]
    published: Mapping[tuple[str, str], Printed] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def arrange(comparison: Comparison, layout: Layout) -> Comparison:
    """The comparison in that layout; a row without any run is shown if it was published."""
    blocks = tuple(_arranged(block, layout) for block in comparison.blocks)
    return replace(comparison, blocks=blocks, notes=(*layout.notes, *comparison.notes))


def _arranged(block: Block, layout: Layout) -> Block:
    columns = block.columns
    if DELTA_MTL not in columns and any((None, "delta_mtl") in printed for printed in layout.published.values()):
        place = columns.index(HEADROOM) if HEADROOM in columns else len(columns)
        columns = (*columns[:place], DELTA_MTL, *columns[place:])
    measured = {(row.regime, row.method): row for row in block.rows}
    rows = []
    for key in dict.fromkeys([*layout.rows, *measured]):
        published = _published(columns, layout.published.get(key, {}))
        if key in measured or published:
            regime, method = key
            rows.append(replace(measured.get(key, Row(method, regime, (), {})), published=published))
    return replace(block, columns=columns, rows=tuple(rows), title=layout.title)


def _published(columns: tuple[Column, ...], printed: Printed) -> dict[Column, str]:
    names = {column: (column.task, column.metric) for column in columns}
    return {column: printed[name] for column, name in names.items() if name in printed}
