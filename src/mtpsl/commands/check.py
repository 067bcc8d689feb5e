"""`mtpsl check`: what a data set holds and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mtpsl.commands.parsing import make_parser, parse
from mtpsl.errors import UserError


def check(arguments: Sequence[str]) -> None:
    """Parse `DATA [options]`, read every file, print."""
    parser = make_parser(
        "check",
        "Read every file of a data set and say per split and task how many labels there are, which values they hold "
        "and what is wrong.",
    )
    parser.add_argument("data", type=Path, help="the folder of the data set")
    parser.add_argument("--name", type=str | None, default=None, help="its layout; recognized by itself")
    parser.add_argument(
        "--classes", type=int | None, default=None, help="number of segmentation classes, for layouts with several"
    )
    parser.add_argument("--description", type=Path | None, default=None, help="its dataset.yaml, if it lies elsewhere")
    parser.add_argument("--tasks", type=list[str] | None, default=None, help="the tasks to read; by default all")
    parser.add_argument(
        "--label_cache", type=Path | None, default=None, help="folder for labels computed from .mat files (pascal)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    values = parse(parser, arguments)

    from rich.console import Console

    from mtpsl.data.check import check_dataset

    report = check_dataset(
        values.data,
        values.description,
        name=values.name,
        classes=values.classes,
        tasks=values.tasks,
        label_cache=values.label_cache,
    )
    if values.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        report.print(Console())
    if not report.ok:
        raise UserError(f"{values.data}: the data set has the problems listed above")
