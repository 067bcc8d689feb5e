"""Where to compute, and a bar while computing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch
from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def best_device() -> torch.device:
    """The first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def bar(items: Iterable[T], description: str) -> Iterator[T]:
    """The items, with a progress bar on standard error."""
    console = Console(stderr=True)
    yield from track(items, description, console=console, transient=True, disable=not console.is_terminal)
