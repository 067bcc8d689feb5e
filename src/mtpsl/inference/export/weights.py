"""Weights alone, in a .safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mtpsl.errors import UserError
from mtpsl.inference.export.description import KEY


def write_weights(network: nn.Module, file: Path, description: Mapping[str, Any]) -> None:
    """Write `network.state_dict()` and the description, and read it again.

    Raises:
        UserError: what was read is something else.
    """
    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    save_file(state, file, metadata={KEY: json.dumps(description)})
    found = load_file(file)
    if found.keys() != state.keys() or any(not torch.equal(found[name], value) for name, value in state.items()):
        raise UserError(f"{file}: what was written cannot be read back: is the disk whole?")
