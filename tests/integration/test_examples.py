"""The examples run."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_own_loop_trains() -> None:
    main = runpy.run_path(str(EXAMPLES / "own_loop.py"))["main"]
    assert math.isfinite(main(steps=3))
