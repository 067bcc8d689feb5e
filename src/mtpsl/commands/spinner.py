"""A sign of life while PyTorch is being imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mtpsl.launched import launched_first


@contextmanager
def loading() -> Iterator[None]:
    """Around a command's heavy imports, which take seconds: says so on a terminal, and takes the line back.

    Only the first of several training processes says it: they share a terminal.
    """
    from rich.console import Console

    console = Console(stderr=True, quiet=not launched_first())
    with console.status("Loading PyTorch"):
        yield
