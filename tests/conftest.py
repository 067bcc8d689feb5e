"""Shapes in signatures are checked in tests, and only there."""

from __future__ import annotations

import os

import torch
from jaxtyping import install_import_hook

install_import_hook("mtpsl", "typechecker.check")  # before the first import of mtpsl

if "OMP_NUM_THREADS" not in os.environ:  # small tensors gain nothing from more threads than two
    torch.set_num_threads(min(2, torch.get_num_threads()))
