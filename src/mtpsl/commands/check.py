"""`mtpsl check`: what a data set holds and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mtpsl.commands.parsing import DATA_OPTIONS, add_data_options, add_trust_option, make_parser, own_layout, parse
from mtpsl.commands.spinner import loading
from mtpsl.errors import UserError


def check(arguments: Sequence[str]) -> None:
    """Parse `DATA [options]`, read every file, print."""
    parser = make_parser(
        "check",
        "Read every file of a data set and say per split and task how many labels there are, which values they hold "
        "and what is wrong.",
    )
    parser.add_argument("data", type=Path, help="the folder of the data set")
    add_data_options(parser)
    add_trust_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    values = parse(parser, arguments)

    from rich.console import Console

    with loading():
        from mtpsl.data.check import check_dataset
        from mtpsl.plugins import trust_from_here

    trust_from_here(values.trust_code)
    values.name = own_layout(values.name)
    report = check_dataset(values.data, **{option: values[option] for option in DATA_OPTIONS})
    if values.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        report.print(Console())
    if not report.ok:
        raise UserError(f"{values.data}: the data set has the problems listed above")
