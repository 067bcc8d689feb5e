"""Parsing shared by the commands."""

from __future__ import annotations

from collections.abc import Sequence

import jsonargparse

from mtpsl.errors import UserError
from mtpsl.wording import parsing_message


def make_parser(command: str, description: str) -> jsonargparse.ArgumentParser:
    """A parser whose errors become one-line user errors (`parse`)."""
    return jsonargparse.ArgumentParser(prog=f"mtpsl {command}", description=description, exit_on_error=False)


def parse(parser: jsonargparse.ArgumentParser, arguments: Sequence[str]) -> jsonargparse.Namespace:
    """Parsed arguments.

    Raises:
        UserError: an argument is unknown, missing or of another type.
    """
    try:
        return parser.parse_args(list(arguments))
    except jsonargparse.ArgumentError as error:
        raise UserError(f"{parsing_message(error)} (`{parser.prog} --help` lists all)") from error
