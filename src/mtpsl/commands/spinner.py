"""A sign of life while PyTorch is being imported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Around a command's heavy imports, which take seconds: says so on a terminal, and takes the line back.

    Only the first of several training processes says it: they share a terminal.
    """
    from rich.console import Console

    console = Console(stderr=True, quiet=os.environ.get("LOCAL_RANK", "0") != "0")
    with console.status("Loading PyTorch"):
        yield
