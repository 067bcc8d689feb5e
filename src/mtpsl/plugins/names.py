"""How a class in a file is named: FILE.py:Class."""

from __future__ import annotations

import re
from pathlib import Path

from mtpsl.files import at_home

NAME = re.compile(r"(?P<file>.*\.py):(?P<cls>[A-Za-z_]\w*)")


OBJECT = "object:"
"""Begins the name of what a run was given as an object in Python, which its folder does not hold."""


def is_object(name: object) -> bool:
    """Whether a name is that of an object.

    >>> is_object("object:MyNetwork"), is_object("segnet")
    (True, False)
    """
    return isinstance(name, str) and name.startswith(OBJECT)


def names_code(name: object) -> bool:
    """Whether a name is that of a class in a file.

    >>> names_code("my_file.py:MyObjective"), names_code("cross_task"), names_code("my_file.py")
    (True, False, False)
    """
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def file_of(name: str) -> Path:
    """The file in a name.

    >>> str(file_of("code/my_file.py:MyObjective"))
    'code/my_file.py'
    """
    return Path(parts(name)[0])


def title(name: str) -> str:
    """What tables call it: the class alone; any other name stays.

    >>> title("code/my_file.py:MyObjective"), title("object:MyNetwork"), title("cross_task")
    ('MyObjective', 'MyNetwork', 'cross_task')
    """
    return parts(name)[1] if names_code(name) else name.removeprefix(OBJECT)


def absolute(name: str, folder: Path) -> str:
    """The same with an absolute path: a relative one starts at `folder`."""
    file, cls = parts(name)
    return f"{(folder / at_home(file)).resolve()}:{cls}"


def parts(name: str) -> tuple[str, str]:
    """File and class."""
    found = NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"code should be named as FILE.py:Class, not {name!r}")
    return found["file"], found["cls"]
