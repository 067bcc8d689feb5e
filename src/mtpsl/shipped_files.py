"""The YAML files that ship with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mtpsl.errors import UserError
from mtpsl.files import at_home


def shipped(folder: str) -> list[Path]:
    """The YAML files of a folder of the package: `recipes` or `tables`."""
    return sorted(Path(str(files("mtpsl") / folder)).glob("*.yaml"))


def find(folder: str, name: str) -> Path:
    """The file of a recipe or table: the name of one that ships with the package, or a path.

    Raises:
        UserError: neither.
    """
    known = {path.stem: path for path in shipped(folder)}
    if name in known:
        return known[name]
    if (path := Path(at_home(name))).is_file():
        return path
    raise UserError(f"{folder.removesuffix('s')} {name!r} is neither a file nor one of {', '.join(known)}")


def headline(path: Path) -> str:
    """What a file is: its first comment line."""
    return path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
