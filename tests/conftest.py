"""Shapes in signatures are checked in tests, and only there."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

install_import_hook("mtpsl", "typechecker.check")  # before the first import of mtpsl

if "OMP_NUM_THREADS" not in os.environ:  # small tensors gain nothing from more threads than two
    torch.set_num_threads(min(2, torch.get_num_threads()))

twice = [
    name for name, count in Counter(path.name for path in Path(__file__).parent.rglob("test_*.py")).items() if count > 1
]
if twice:
    raise pytest.UsageError(f"{', '.join(twice)}: names of test files should be unique in all of tests/: rename one")
