"""Lists on the command line without brackets, which shells take for patterns of file names."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin

import jsonargparse


def with_brackets(parser: jsonargparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """The arguments with brackets around the values of options that hold a list or a tuple.

    >>> parser = jsonargparse.ArgumentParser()
    >>> _ = parser.add_argument("--size", type=tuple[int, int] | None, default=None)
    >>> _ = parser.add_argument("--label", type=str)
    >>> with_brackets(parser, ["--size", "96,128", "--label", "a,b"])
    ['--size', '[96,128]', '--label', 'a,b']
    >>> with_brackets(parser, ["--size=[96,128]", "--size=null"])
    ['--size=[96,128]', '--size=null']
    """
    known = parser._option_string_actions
    bracketed = []
    before = ""  # the option whose value comes next
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if before:
            bracketed.append(in_brackets(argument))
            before = ""
        elif option in known and is_list(getattr(known[option], "_typehint", None)):
            before = "" if equals else option
            bracketed.append(f"{option}={in_brackets(value)}" if equals else argument)
        else:
            bracketed.append(argument)
    return bracketed


def in_brackets(value: str) -> str:
    """A value in brackets, unless it has some, is empty, or says that there is no list."""
    bare = value.strip()
    is_option = bare[:1] == "-" and not bare[1:2].isdigit()
    return value if bare in ("", "null") or bare[0] in "[(" or is_option else f"[{value}]"


def is_list(hint: Any) -> bool:
    """Whether a type is a list or a tuple, or one of these or None."""
    if get_origin(hint) in (Union, types.UnionType):
        return any(is_list(part) for part in get_args(hint))
    origin = get_origin(hint) or hint
    return isinstance(origin, type) and issubclass(origin, Sequence) and origin is not str
