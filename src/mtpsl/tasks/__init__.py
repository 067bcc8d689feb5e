"""Dense prediction tasks."""

from mtpsl.tasks.base import Task
from mtpsl.tasks.depth import Depth
from mtpsl.tasks.edges import Edges
from mtpsl.tasks.human_parts import HumanParts
from mtpsl.tasks.multilabel import MultiLabel
from mtpsl.tasks.normals import Normals
from mtpsl.tasks.regression import Regression
from mtpsl.tasks.saliency import Saliency
from mtpsl.tasks.segmentation import Segmentation

TASKS: dict[str, type[Task]] = {
    "segmentation": Segmentation,
    "depth": Depth,
    "normals": Normals,
    "edges": Edges,
    "saliency": Saliency,
    "human_parts": HumanParts,
    "regression": Regression,
    "multilabel": MultiLabel,
}


def describe_task(task: Task) -> dict[str, object]:
    """A task as plain values, for a file."""
    kind = next(name for name, cls in TASKS.items() if type(task) is cls)
    return {"type": kind, "name": task.name, **task.options()}


def make_task(description: dict[str, object]) -> Task:
    """The task that `describe_task` described."""
    options = dict(description)
    return TASKS[str(options.pop("type"))](**options)  # type: ignore[arg-type]


__all__ = [
    "TASKS",
    "Depth",
    "Edges",
    "HumanParts",
    "MultiLabel",
    "Normals",
    "Regression",
    "Saliency",
    "Segmentation",
    "Task",
    "describe_task",
    "make_task",
]
