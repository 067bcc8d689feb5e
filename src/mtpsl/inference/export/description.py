"""What an exported file says of itself: tasks, classes, units, input, normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mtpsl.inference.explanation import explain_task
from mtpsl.inference.export.recording import Recorded
from mtpsl.networks.encoders.timm import TimmEncoder
from mtpsl.tasks import Task

KEY = "mtpsl"
"""Where the description stands among a file's metadata."""


def describe(
    tasks: Sequence[Task], network: nn.Module, size: tuple[int, int] | None, recorded: Recorded | None, *, raw: bool
) -> dict[str, Any]:
    """The description, as JSON has it.

    Args:
        tasks: what is predicted.
        network: what predicts it.
        size: height and width at which the network saw the pictures of its training.
        recorded: how it was recorded; None for weights alone.
        raw: whether what stands before and after the network is left to the user.
    """
    encoder = next((part for part in network.modules() if isinstance(part, TimmEncoder)), None)
    content: dict[str, Any] = {
        "tasks": [explain_task(task, decoded=recorded is not None and not raw) for task in tasks],
        "training_size": None if size is None else list(size),
        "normalization": {
            "input": "RGB from 0 to 1",
            "mean": None if encoder is None else encoder.mean.flatten().tolist(),
            "std": None if encoder is None else encoder.std.flatten().tolist(),
            "inside": True,
        },
    }
    if recorded is not None:
        batch = "batch" if recorded.any_number else 1
        seen = size if recorded.any_size else recorded.size
        if seen is not None and recorded.freedom == "multiples":
            seen = (-(-seen[0] // recorded.stride) * recorded.stride, -(-seen[1] // recorded.stride) * recorded.stride)
        sides = ["height", "width"] if recorded.any_size else list(recorded.size)
        content["input"] = {
            "name": "images" if raw else "image",
            "type": "float32" if raw else "uint8",
            "shape": [batch, 3, *sides] if raw else [batch, *sides, 3],
            "meaning": "RGB from 0 to 1" if raw else "RGB from 0 to 255",
            "size": None if seen is None else list(seen),
            "multiples": recorded.stride if recorded.freedom == "multiples" else 1,
        }
    return content
