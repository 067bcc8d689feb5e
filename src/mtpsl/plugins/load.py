"""A class of one's own from FILE.py:Class, checked once: it is there, of the right kind, and its options have types."""

from __future__ import annotations

import inspect
import sys
import traceback
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from mtpsl.errors import UserError
from mtpsl.plugins.modules import IMPORTED, import_file, is_imported, sha256
from mtpsl.plugins.names import parts
from mtpsl.plugins.record import CodeRecord
from mtpsl.plugins.trust import is_trusted

T = TypeVar("T")


def load_class(
    name: str, base: type[T], record: CodeRecord, *, supplied: Sequence[str] = (), named: bool = False
) -> type[T]:
    """The class that a name stands for; its file is run unless this process ran the same content before.

    Args:
        name: FILE.py:Class, with an absolute path.
        base: what it should be a subclass of.
        record: what names it, and which content of the file is meant.
        supplied: the arguments of its constructor that the program gives, first of all and in this order.
        named: the user named the file in this very command, which is to trust it.

    Raises:
        UserError: the file is missing, another than recorded, not trusted, or raises; the class is not there, is none
            of the kind, or has options without a type.
    """
    path, cls_name = parts(name)
    file, source = record.read(Path(path))
    if not (named or is_trusted() or is_imported(file, sha256(source))):
        raise UserError(
            f"{record.where} names code, {file} ({cls_name}), which is not run unless you trust it: read it, then give "
            "--trust-code (in Python trust_code=True)"
        )
    try:
        module = import_file(file, Path(path), source)
    except (Exception, SystemExit) as error:
        raise UserError(f"{file}{line_in(file, error)}: cannot be imported: {said(error)}") from error
    cls = getattr(module, cls_name, None)
    if cls is None:
        own = [key for key, x in vars(module).items() if isinstance(x, type) and x.__module__ == module.__name__]
        raise UserError(f"{file}: has no class {cls_name}: it has {', '.join(own) or 'none'}")
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise UserError(f"{place(file, cls)}: {cls_name} should be a subclass of {base.__name__}")
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        raise UserError(f"{place(file, cls)}: {cls_name} lacks what every {base.__name__} has: {', '.join(missing)}")
    check_constructor(cls, file, supplied)
    return cls


def loaded_class(name: str, hashes: Mapping[str, str]) -> type | None:
    """The class of that name as `load_class` gave it in this process; without a hash the one that it gave last."""
    path, cls_name = parts(name)
    for module, one in reversed(IMPORTED.items()):
        if one.digest == hashes.get(path) or (path not in hashes and str(one.named) == path):
            return getattr(sys.modules[module], cls_name, None)
    return None


def check_constructor(cls: type, file: Path, supplied: Sequence[str]) -> None:
    """Require that a constructor takes what the program gives, and that its options have types.

    Raises:
        UserError: it does not, or one has none.
    """
    where = place(file, cls.__init__)  # type: ignore[misc]
    parameters = list(inspect.signature(cls).parameters.values())
    if [parameter.name for parameter in parameters[: len(supplied)]] != list(supplied):
        raise UserError(f"{where}: {cls.__name__}.__init__ should begin with (self, {', '.join(supplied)})")
    for parameter in parameters[len(supplied) :]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise UserError(
                f"{where}: {cls.__name__}.__init__ should name its options one by one, with types: not {parameter}"
            )
        if parameter.annotation is parameter.empty:
            raise UserError(
                f"{where}: option {parameter.name} of {cls.__name__} has no type: write e.g. {parameter.name}: float"
            )
    try:
        typing.get_type_hints(cls.__init__)  # type: ignore[misc]
    except Exception as error:
        raise UserError(f"{where}: the types of {cls.__name__}'s options cannot be read: {said(error)}") from error


def option_types(cls: type, supplied: Sequence[str]) -> Mapping[str, inspect.Parameter]:
    """The options of a constructor: its parameters without what the program gives."""
    return {name: one for name, one in inspect.signature(cls).parameters.items() if name not in supplied}


def checked_options(cls: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a class from a YAML file, as its constructor's types have them.

    Raises:
        ValueError: one has another type.
    """
    import jsonargparse

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    skip = {name for name in inspect.signature(cls).parameters if name not in options}
    parser.add_class_arguments(cls, skip=skip)
    try:
        return dict(vars(parser.parse_object(dict(options))))
    except jsonargparse.ArgumentError as error:
        raise ValueError(" ".join(str(error).split())) from error


@contextmanager
def running(cls: type) -> Iterator[None]:
    """Inside the block, code of a class named by file is run: what it raises becomes one line with the place.

    Raises:
        UserError: the block raised something; that of a class of this package is left alone.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if cls.__module__ not in IMPORTED:
            raise
        file = Path(inspect.getfile(cls))
        raise UserError(f"{file}{line_in(file, error)}: {cls.__name__}: {said(error)}") from error


def line_in(file: Path, error: BaseException) -> str:
    """`, line 3` where an error arose in a file, as far as it is known."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f", line {lines[-1]}" if lines else ""


def place(file: Path, thing: Any) -> str:
    """A file with the line where something in it begins."""
    try:
        if Path(inspect.getfile(thing)) == file:
            return f"{file}, line {inspect.getsourcelines(thing)[1]}"
    except (TypeError, OSError):
        pass
    return str(file)


def said(error: BaseException) -> str:
    """An error's kind and message."""
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
