"""Parsing shared by the commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jsonargparse

from mtpsl.brackets import with_brackets
from mtpsl.errors import UserError
from mtpsl.option_errors import parsing_message, unknown_message, unknown_option

DATA_OPTIONS = ("name", "description", "tasks", "classes", "label_cache")


def make_parser(command: str, description: str) -> jsonargparse.ArgumentParser:
    """A parser whose errors become one-line user errors (`parse`)."""
    return jsonargparse.ArgumentParser(
        prog=f"mtpsl {command}", description=description, exit_on_error=False, allow_abbrev=False
    )


def add_data_options(parser: jsonargparse.ArgumentParser) -> None:
    """What can be said of a data set on disk that a command reads: `DATA_OPTIONS`."""
    parser.add_argument(
        "--name", type=str | None, default=None, help="its layout, or FILE.py:Class; recognized by itself"
    )
    parser.add_argument("--description", type=Path | None, default=None, help="its dataset.yaml, if it lies elsewhere")
    parser.add_argument("--tasks", type=list[str] | None, default=None, help="the tasks to read; by default all")
    parser.add_argument(
        "--classes", type=int | None, default=None, help="number of segmentation classes, for layouts with several"
    )
    parser.add_argument(
        "--label_cache", type=Path | None, default=None, help="folder for labels computed from .mat files (pascal)"
    )


def add_trust_option(parser: jsonargparse.ArgumentParser) -> None:
    """Whether code that is named where it was not written by this command may be run: `trust_code`."""
    parser.add_argument(
        "--trust-code",
        action="store_true",
        help="run the files (FILE.py:Class) that the run or the data set names: only what you wrote or have read",
    )


def own_layout(name: str | None) -> str | None:
    """A layout's name; that of one's own, FILE.py:Class, is loaded, since the user names it here."""
    from mtpsl.data.registry import layout_class
    from mtpsl.plugins import absolute, names_code

    if names_code(name):
        name = absolute(str(name), Path.cwd())
        layout_class(name, named=True)
    return name


def add_checkpoint(parser: jsonargparse.ArgumentParser) -> None:
    """Which network of a run to use."""
    parser.add_argument(
        "--checkpoint",
        type=Literal["last", "best"],
        default="last",
        help="the network of the last epoch, or of that with the best validation scores (--training.keep_best)",
    )


def parse(parser: jsonargparse.ArgumentParser, arguments: Sequence[str]) -> jsonargparse.Namespace:
    """Parsed arguments.

    Raises:
        UserError: an argument is unknown, missing or of another type.
    """
    places = {action.dest for action in parser._actions if not action.option_strings}
    for word in arguments:  # jsonargparse passes over `--data.name X` where `data` is a folder's place
        name = word.removeprefix("--").partition("=")[0] if word.startswith("--") else ""
        if name.partition(".")[0] in places:
            known = {*parser.get_defaults().keys()} - places
            raise UserError(f"{unknown_message(name, known)} (`{parser.prog} --help` lists all)")
    try:
        return parser.parse_args(with_brackets(parser, arguments))
    except jsonargparse.ArgumentError as error:
        option = unknown_option(error)
        message = unknown_message(option, parser.get_defaults().keys()) if option else parsing_message(error)
        message = _missing(parser, message) or message
        raise UserError(f"{message} (`{parser.prog} --help` lists all)") from error


def _missing(parser: jsonargparse.ArgumentParser, message: str) -> str | None:
    """What is missing as the user would write it: `RUN`, `--out`; None if the message is about something else."""
    found = re.search(r"arguments are required: (.+)", message)
    if not found:
        return None
    written = {action.dest: next(iter(action.option_strings), action.dest.upper()) for action in parser._actions}
    names = [written.get(name, name) for name in found[1].split(", ")]
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing"
