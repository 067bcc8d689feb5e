"""`mtpsl compare`: a table of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mtpsl.commands.parsing import make_parser, parse
from mtpsl.commands.spinner import loading
from mtpsl.errors import UserError


def compare(arguments: Sequence[str]) -> None:
    """Parse `RUN... [options]` and print."""
    parser = make_parser(
        "compare",
        "A table of runs: mean and deviation over seeds, and ΔMTL (the mean relative improvement over single-task "
        "networks, which are found among the runs by themselves).",
    )
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, or folders that hold run folders")
    parser.add_argument(
        "--format",
        type=Literal["terminal", "markdown", "csv", "latex", "json"],
        default="terminal",
        help="form of the table",
    )
    parser.add_argument("--metrics", type=Literal["primary", "all"], default="primary", help="which scores to show")
    parser.add_argument("--out", type=Path | None, default=None, help="write the table to this file")
    values = parse(parser, arguments)

    from rich.console import Console

    with loading():
        from mtpsl.evaluation.compare import compare as compare_runs
        from mtpsl.evaluation.tables import print_table, render
        from mtpsl.files import write_text

    comparison = compare_runs(values.runs)
    if values.format == "terminal" and values.out is None:
        print_table(comparison, Console(), metrics=values.metrics)
        return
    form = "markdown" if values.format == "terminal" else values.format
    text = render(comparison, form, metrics=values.metrics)
    if values.out is None:
        print(text, end="" if text.endswith("\n") else "\n")
        return
    if values.out.exists():
        raise UserError(f"{values.out} exists already: choose another --out")
    write_text(values.out, text)
