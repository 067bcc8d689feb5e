"""The words of a command line, before they are parsed: which names they give to what a run is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtpsl.plugins import absolute, names_code

NAMED = ("network", "objective", "weighting")
"""Groups whose name may be given as that of the group: `--network segnet`."""


def expand(argument: str) -> str:
    """`--objective` is short for `--objective.name`, likewise `--network` and `--weighting`."""
    for group in NAMED:
        if argument == f"--{group}" or argument.startswith(f"--{group}="):
            return argument.replace(f"--{group}", f"--{group}.name", 1)
    return argument


def argument_value(arguments: Sequence[str], option: str) -> str | None:
    """The last value of an option among unparsed arguments."""
    value = None
    for index, argument in enumerate(arguments):
        if argument == option and index + 1 < len(arguments):
            value = arguments[index + 1]
        elif argument.startswith(f"{option}="):
            value = argument.split("=", 1)[1]
    return value


def without_code(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Arguments without those that name code, and what the last of them name by group, with absolute paths.

    >>> without_code(["--data.root", "x", "--network.name=/a.py:Net"])
    (['--data.root', 'x'], {'network': '/a.py:Net'})
    """
    left, found, words = [], {}, list(arguments)
    while words:
        word = words.pop(0)
        option, equals, value = word.partition("=")
        group = option.removeprefix("--").removesuffix(".name")
        if option != f"--{group}.name" or group not in (*NAMED, "data"):
            left.append(word)
            continue
        rest = [] if equals or not words else [words.pop(0)]
        value = value if equals else "".join(rest)
        if names_code(value):
            found[group] = absolute(value, Path.cwd())
        else:
            found.pop(group, None)
            left += [word, *rest]
    return left, found
