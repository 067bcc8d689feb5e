"""Weights of an encoder from a file, without executing anything in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mtpsl.errors import UserError


def read_weights(path: str | Path, name: str) -> dict[str, Tensor]:
    """The tensors of a file of timm's weights for model `name` (a classifier among them does not matter).

    Raises:
        UserError: there is no such file, it is damaged, is not a file of weights, or is of another model.
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
    check_model(path, state, name)
    return state


def check_model(path: Path, state: dict[str, Tensor], name: str) -> None:
    """Refuse weights of another model (timm would leave out what does not fit)."""
    model: nn.Module = timm.create_model(name, pretrained=False)
    classifier = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    heads = tuple(f"{head}." for head in ([classifier] if isinstance(classifier, str) else classifier))
    wanted = {key: x.shape for key, x in model.state_dict().items() if not key.startswith(heads)}
    given = {key: x.shape for key, x in state.items() if not key.startswith(heads)}
    for key in (*wanted, *given):
        if key.endswith("num_batches_tracked"):  # older files have none
            continue
        if key not in given or key not in wanted:
            detail = f"it has no {key!r}" if key not in given else f"it has {key!r} too many"
            raise UserError(f"{path}: not weights of {name} in timm's form: {detail}")
        if given[key] != wanted[key]:
            shapes = tuple(wanted[key]), tuple(given[key])
            raise UserError(f"{path}: not weights of {name}: {key} should have shape {shapes[0]}, not {shapes[1]}")
