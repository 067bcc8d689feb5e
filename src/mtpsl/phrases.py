"""Parts of what any layer says to a user: numbers of things, and commands that can be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "picture"), counted(2, "picture")
    ('1 picture', '2 pictures')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def first_few(names: Sequence[str]) -> str:
    """Up to three names, and how many more there are.

    >>> first_few(["a", "b"]), first_few(["a", "b", "c", "d"])
    ('a, b', 'a, b, c and 1 more')
    """
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def no_pictures(number: int) -> str:
    """So many files that are no pictures.

    >>> no_pictures(1), no_pictures(2)
    ('1 file that is no picture', '2 files that are no pictures')
    """
    return f"{counted(number, 'file')} that {'is no picture' if number == 1 else 'are no pictures'}"


def command(*words: object) -> str:
    """A command as it can be pasted into a shell, whatever is in the names of files.

    >>> command("evaluate", "runs/my run")
    "mtpsl evaluate 'runs/my run'"
    """
    return shlex.join(["mtpsl", *map(str, words)])


def resuming(run: object) -> str:
    """The command that continues a run, in backquotes, as a line of text names it."""
    return f"`{command('train', '--resume', run)}`"
