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

    Methods are rows; where the terminal is too narrow for that, they are columns.
    """
    for block in _selected(comparison, metrics).blocks:
        console.print(_methods_down(block) if _least_width(block) <= console.width else _methods_across(block))
        for note in block.notes:
            console.print(Text(f"  {note}"))
    for note in comparison.notes:
        console.print(Text(note))
    console.print(Text(f"{LEGEND} {_footer(comparison)}"))


def _least_width(block: Block) -> int:
    """Characters that a table needs in which no word of a heading and no cell is broken."""
    columns = zip(heads_of(block), *cells_of(block), strict=True)
    words = ([*head.split(), *(cell.text for cell in cells)] for head, *cells in columns)
    return sum(max(map(len, texts)) + 2 for texts in words)


def _methods_down(block: Block) -> Table:
    table = Table(title=Text(heading(block)), title_justify="left", box=box.SIMPLE_HEAD)
    for index, head in enumerate(heads_of(block)):
        names = index < 2
        longest = max(map(len, head.split()), default=0)  # only between words is a head broken
        table.add_column(
            Text(head), justify="left" if names else "right", no_wrap=names, overflow="fold", min_width=longest
        )
    for index, (row, cells) in enumerate(zip(block.rows, cells_of(block), strict=True)):
        if index and row.regime != block.rows[index - 1].regime:
            table.add_section()
        table.add_row(*(_styled(cell) for cell in cells))
    return table


def _methods_across(block: Block) -> Table:
    table = Table(title=Text(heading(block)), title_justify="left", box=box.SIMPLE_HEAD)
    rows = cells_of(block)
    table.add_column("")
    for cells in rows:
        table.add_column(Text(f"{cells[1].text}\n({cells[0].text})"), justify="right")
    for index, head in list(enumerate(heads_of(block)))[2:]:
        table.add_row(Text(head), *(_styled(cells[index]) for cells in rows))
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
