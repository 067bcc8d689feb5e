"""Files that torch writes, whose errors are those of the system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mtpsl.files import naming


def save_tensors(content: Any, path: Path) -> None:
    """Write what `torch.load(path, weights_only=True)` reads again: tensors, and plain values of them.

    Raises:
        OSError: the file cannot be written. Where a write fails, torch says how many bytes it expected, and hides why.
    """
    with naming(path):
        try:
            with path.open("wb") as file:
                torch.save(content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise
