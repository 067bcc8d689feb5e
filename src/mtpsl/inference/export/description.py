"""What an exported file says of itself: tasks, classes, units, input, normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mtpsl.inference.export.recording import Recorded
from mtpsl.networks.encoders.timm import TimmEncoder
from mtpsl.tasks import Depth, Normals, Task, describe_task
from mtpsl.tasks.binary import BinaryTask

KEY = "mtpsl"
"""Where the description stands among a file's metadata."""
LOSSES = ("loss", "gradient", "class_weights", "label_smoothing", "dice", "absent")
"""Options of tasks that matter in training and scoring alone."""


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
        "tasks": [of_task(task, decoded=recorded is not None and not raw) for task in tasks],
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


def of_task(task: Task, *, decoded: bool) -> dict[str, Any]:
    """One task: its name, what its numbers mean, and its options."""
    options = {key: value for key, value in describe_task(task).items() if key not in LOSSES}
    options["type"] = str(options["type"]).rpartition("/")[2]  # of one's own: without the path on this machine
    said = (
        {"out_channels": task.out_channels, "meaning": meaning(task)}
        if decoded
        else {
            "out_channels": task.out_channels,
            "decoding": decoding(task),
        }
    )
    return {**options, **said}


def meaning(task: Task) -> str:
    """What the decoded numbers of a task are."""
    if not task.target_spec.channels:
        return "the number of the class"
    if isinstance(task, BinaryTask):
        return "probability"
    if isinstance(task, Depth):
        return f"{'inverse depth' if task.inverse else 'depth along the optical axis'} in {task.unit}"
    if isinstance(task, Normals):
        return f"unit vector in the camera's frame: x to the right, y {task.y_axis}"
    unit = getattr(task, "unit", None)
    return f"in {unit}" if unit else "as labels have it"


def decoding(task: Task) -> str:
    """How the raw numbers of a task become those that `meaning` names."""
    if not task.target_spec.channels:
        return "the channel with the largest value is the class"
    if isinstance(task, BinaryTask):
        return "the logistic function gives the probability"
    if isinstance(task, Depth):
        return f"negative values are 0; in {task.unit}"
    if isinstance(task, Normals):
        return f"divide by the length of the vector; x to the right, y {task.y_axis}"
    return "as the task's decode says"
