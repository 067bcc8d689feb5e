"""Whether files that a run, a recipe or a data set names may be run: only where the user says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_trusting: ContextVar[bool] = ContextVar("trusting", default=False)


@contextmanager
def trusting(yes: bool = True) -> Iterator[None]:
    """Inside the block, named files are run, or not; after it, as before."""
    token = _trusting.set(yes)
    try:
        yield
    finally:
        _trusting.reset(token)


def trust_from_here(yes: bool) -> None:
    """The same up to the end of the enclosing `trusting`, if `yes`."""
    if yes:
        _trusting.set(True)


def is_trusted() -> bool:
    """Whether named files may be run."""
    return _trusting.get()
