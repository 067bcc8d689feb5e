"""What the numbers of a task are, for whoever reads them without this package."""

from __future__ import annotations

from typing import Any

from mtpsl.tasks import Depth, Normals, Task, describe_task
from mtpsl.tasks.binary import BinaryTask

LOSSES = ("loss", "gradient", "class_weights", "label_smoothing", "dice", "absent")
"""Options of tasks that matter in training and scoring alone."""


def explain_task(task: Task, *, decoded: bool) -> dict[str, Any]:
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
