"""Comparisons as text: terminal, Markdown, LaTeX, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Final, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mtpsl.errors import UserError
from mtpsl.evaluation.cells import PUBLISHED, Cell, cells_of, heading, heads_of
from mtpsl.evaluation.columns import Columns
from mtpsl.evaluation.compare import Block, Comparison, Row, Summary

Metrics = Literal["primary", "all"]

LEGEND = "Mean ± sample standard deviation over seeds; bold: best of its label regime."
LATEX: Final = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "Δ": r"$\Delta$",
    "°": r"$^\circ$",
    "–": "--",
    "−": "$-$",
}


def render(comparison: Comparison, format: str, *, metrics: Metrics = "primary") -> str:
    """The comparison as a text that ends with a line break.

    Args:
        comparison: what `compare` returned.
        format: `markdown`, `latex` (booktabs), `csv` (one line per row and metric, full precision) or `json`.
        metrics: one number per task, the one that counts in ΔMTL, or all.

    Raises:
        UserError: the format is unknown.
    """
    if format not in FORMATS:
        raise UserError(f"format should be one of {', '.join(FORMATS)}, not {format}")
    return FORMATS[format](_selected(comparison, metrics))


def print_table(comparison: Comparison, console: Console, *, metrics: Metrics = "primary") -> None:
    """Print one table per block, its notes below; `metrics` as in `render`.

    Methods are rows; where the terminal is too narrow for that, they are columns, in several tables if need be.
    """
    for block in _selected(comparison, metrics).blocks:
        console.print(*_tables(block, console), sep="")
        for note in block.notes:
            console.print(Text(f"  {note}"))
    for note in comparison.notes:
        console.print(Text(note))
    console.print(Text(f"{LEGEND} {_footer(comparison)}"))


def _tables(block: Block, console: Console) -> list[Table]:
    """A block as a table, or several, in which no word of a heading and no cell is broken."""
    heads, rows = heads_of(block), cells_of(block)
    down = Columns([heads, *([cell.text for cell in row] for row in rows)], unbroken=2)
    if down.least <= console.width:
        return [_methods_down(block, down.widths(console.width))]
    tables, start = [], 0
    while start < len(rows):
        for end in range(len(rows), start, -1):
            part = rows[start:end]
            lines = [["", *(f"{method.text}\n({regime.text})" for regime, method, *_ in part)]]
            lines += [[head, *(row[2 + index].text for row in part)] for index, head in enumerate(heads[2:])]
            across = Columns(lines, words=1)
            if across.least <= console.width or end == start + 1:
                title = None if start else Text(heading(block))
                tables.append(_methods_across(title, lines, part, across.widths(console.width)))
                start = end
                break
    return tables


def _methods_down(block: Block, widths: list[int]) -> Table:
    table = Table(title=Text(heading(block)), title_justify="left", box=box.SIMPLE_HEAD)
    for index, (head, width) in enumerate(zip(heads_of(block), widths, strict=True)):
        table.add_column(Text(head), justify="left" if index < 2 else "right", overflow="fold", width=width)
    for index, (row, cells) in enumerate(zip(block.rows, cells_of(block), strict=True)):
        if index and row.regime != block.rows[index - 1].regime:
            table.add_section()
        table.add_row(*(_styled(cell) for cell in cells))
    return table


def _methods_across(title: Text | None, lines: list[list[str]], rows: list[list[Cell]], widths: list[int]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for index, (head, width) in enumerate(zip(lines[0], widths, strict=True)):
        table.add_column(Text(head), justify="right" if index else "left", overflow="fold", width=width)
    for index, (head, *_) in enumerate(lines[1:]):
        table.add_row(Text(head), *(_styled(row[2 + index]) for row in rows))
    return table


def _styled(cell: Cell) -> Text:
    return Text(cell.text, style="bold" if cell.best else "")


def _selected(comparison: Comparison, metrics: Metrics) -> Comparison:
    if metrics == "all":
        return comparison
    blocks = []
    for block in comparison.blocks:
        columns = tuple(column for column in block.columns if column.primary)
        rows = (
            replace(
                row,
                cells={key: cell for key, cell in row.cells.items() if key.primary},
                published={key: printed for key, printed in row.published.items() if key.primary},
            )
            for row in block.rows
        )
        blocks.append(replace(block, columns=columns, rows=tuple(rows)))
    return replace(comparison, blocks=tuple(blocks))


def _footer(comparison: Comparison) -> str:
    parts = [f"{comparison.runs} run{'s' * (comparison.runs != 1)}"]
    for name, values in (("seed", comparison.seeds), ("epoch", comparison.epochs), ("commit", comparison.commits)):
        if values:
            parts.append(f"{name}{'s' * (len(values) != 1)} {', '.join(map(str, values))}")
    return "; ".join(parts) + "."


def _markdown(comparison: Comparison) -> str:
    def line(cells: list[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    lines = []
    for block in comparison.blocks:
        heads, rows = heads_of(block), cells_of(block)
        lines += [f"### {heading(block)}", "", line(heads)]
        lines += [f"|{'|'.join(['---'] * 2 + ['--:'] * (len(heads) - 2))}|"]
        lines += [line([f"**{cell.text}**" if cell.best else cell.text for cell in row]) for row in rows]
        lines += ["", *(f"- {note}" for note in block.notes), *([""] if block.notes else [])]
    lines += [f"- {note}" for note in comparison.notes] + ([""] if comparison.notes else [])
    return "\n".join([*lines, LEGEND, _footer(comparison), ""])


def _latex(comparison: Comparison) -> str:
    def escape(text: str) -> str:
        return "".join(LATEX.get(character, character) for character in text)

    def cell(content: Cell, number: bool) -> str:
        text = escape(content.text.replace("-", "−") if number else content.text)
        return rf"\textbf{{{text}}}" if content.best else text

    lines = ["% needs \\usepackage{booktabs}", f"% {_footer(comparison)}"]
    for block in comparison.blocks:
        heads, rows = heads_of(block), cells_of(block)
        lines += [*(f"% {note}" for note in block.notes), r"\begin{table}", r"\centering"]
        lines += [rf"\caption{{{escape(heading(block))}}}"]
        lines += [rf"\begin{{tabular}}{{ll{'r' * (len(heads) - 2)}}}", r"\toprule"]
        lines += [" & ".join(map(escape, heads)) + r" \\"]
        for index, (row, cells) in enumerate(zip(block.rows, rows, strict=True)):
            if not index or row.regime != block.rows[index - 1].regime:
                lines.append(r"\midrule")
            lines.append(" & ".join(cell(content, number=place > 2) for place, content in enumerate(cells)) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join([*lines, *(f"% {note}" for note in comparison.notes), ""])


def _records(block: Block, row: Row) -> list[dict[str, object]]:
    """Every cell of a row in full precision, NaN as None; with what was published where a row of the block has it."""
    published = any(other.published for other in block.rows)
    records = []
    for column in block.columns:
        if column not in row.cells and column not in row.published:
            continue
        cell = row.cells.get(column, Summary(math.nan, math.nan, 0))
        mean, std = (None if math.isnan(value) else value for value in (cell.mean, cell.std))
        record: dict[str, object] = {**asdict(column), "mean": mean, "std": std, "n": cell.count}
        printed = row.published.get(column)
        records.append(record | ({PUBLISHED: None if printed is None else float(printed)} if published else {}))
    return records


def _csv(comparison: Comparison) -> str:
    lines = []
    for block in comparison.blocks:
        setting = {**asdict(block.setting), "image_size": "x".join(map(str, block.setting.image_size))}
        for row in block.rows:
            names = {"tasks": " ".join(block.tasks), "regime": row.regime, "method": row.method}
            lines += [setting | names | record for record in _records(block, row)]
    text = io.StringIO()
    fields = list(dict.fromkeys(name for line in lines for name in line))
    writer = csv.DictWriter(text, fieldnames=fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _json(comparison: Comparison) -> str:
    content = {name: getattr(comparison, name) for name in ("runs", "seeds", "epochs", "commits", "notes")}
    content["blocks"] = [
        {
            **({"title": block.title} if block.title else {}),
            **asdict(block.setting),
            "tasks": block.tasks,
            "rows": [
                {"regime": row.regime, "method": row.method, "seeds": row.seeds, "scores": _records(block, row)}
                for row in block.rows
            ],
            "notes": block.notes,
        }
        for block in comparison.blocks
    ]
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
    "json": _json,
}
