"""What a run that was killed while it made its folder leaves there."""

from __future__ import annotations

from pathlib import Path

from mtpsl.files import TEMPORARY
from mtpsl.plugins import CODE

FIRST = "tasks.json"
"""What is written first."""
BEFORE_CONFIG = {FIRST, "environment.json", CODE}
"""What is written before config.yaml, which makes a folder a run."""


def strange_content(folder: Path) -> list[Path]:
    """What a path holds that such a run has not left there; the path itself where it is a file."""
    if not folder.is_dir():
        return [folder] if folder.exists() else []
    inside = sorted(folder.iterdir())
    known = BEFORE_CONFIG if (folder / FIRST).is_file() else set()  # a folder called `code` may be anybody's
    return [path for path in inside if path.name not in known and not path.name.startswith(TEMPORARY)]
