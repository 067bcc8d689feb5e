"""`mtpsl demo`: the main job on built-in data."""

from __future__ import annotations

from collections.abc import Sequence


def demo(arguments: Sequence[str]) -> None:
    """Placeholder."""
