"""Weights of an encoder from a file, without executing anything in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mtpsl.errors import UserError


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file, by name.

    Raises:
        UserError: there is no such file, it is damaged or is not a file of weights.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"network.weights: there is no file {path}")
    try:
        state: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # each reader raises a dozen kinds, depending on where a file is broken
        raise UserError(
            f"{path}: cannot be loaded safely as weights: it is damaged or foreign (a .safetensors, or a .pth that "
            "holds nothing but tensors, is needed)"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(x, Tensor) for x in state.values()):
        raise UserError(f"{path}: should hold tensors by name, as a model's state_dict does")
    return state


def load_encoder(model: nn.Module, state: dict[str, Tensor], name: str, source: str | Path) -> None:
    """Fill the feature maps' part of timm's model `name` with weights of the whole model or of that part.

    What follows the last map (a classifier, for example) may be absent or of another shape.

    Raises:
        UserError: they are of another model.
    """
    with torch.device("meta"):
        whole = timm.create_model(name).state_dict()
    mine = {comparable(key): key for key in model.state_dict()}
    wanted = {key: x.shape for key, x in whole.items() if comparable(key) in mine}
    for key in (*wanted, *state):
        if key.endswith("num_batches_tracked"):  # older files have none
            continue
        if key not in state or key not in whole:
            detail = f"it has no {key!r}" if key not in state else f"it has {key!r} too many"
            raise UserError(f"{source}: not weights of {name} in timm's form: {detail}")
        if key in wanted and state[key].shape != wanted[key]:
            shapes = tuple(wanted[key]), tuple(state[key].shape)
            raise UserError(f"{source}: not weights of {name}: {key} should have shape {shapes[0]}, not {shapes[1]}")
    given = {mine[comparable(key)]: state[key] for key in wanted if key in state}
    model.load_state_dict({**model.state_dict(), **given})


def comparable(key: str) -> str:
    """A tensor's name as it is the same in timm's whole model and in the part that gives feature maps."""
    return key.removeprefix("model.").replace(".", "_")
