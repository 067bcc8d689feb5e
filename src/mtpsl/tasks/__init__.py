"""Dense prediction tasks."""

from mtpsl.plugins import CodeRecord, class_name, load_class, names_code, running
from mtpsl.tasks.base import Task
from mtpsl.tasks.class_map import ClassMap
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
    """A task as plain values, for a file; the type of one's own is FILE.py:Class.

    Raises:
        ValueError: its class is neither one of these nor named by file.
    """
    kind = next((name for name, cls in TASKS.items() if type(task) is cls), None) or class_name(type(task))
    if kind is None:
        raise ValueError(f"task {task.name}: {type(task).__name__} should lie in a file and be named as FILE.py:Class")
    return {"type": kind, "name": task.name, **task.options()}


def make_task(description: dict[str, object], record: CodeRecord | None = None) -> Task:
    """The task that `describe_task` described; `record` says which files it may name."""
    options = dict(description)
    kind = str(options.pop("type"))
    if names_code(kind):
        cls = load_class(kind, Task, record or CodeRecord("a task"), supplied=("name",))  # type: ignore[type-abstract]
        with running(cls):
            return cls(**options)  # type: ignore[arg-type]
    return TASKS[kind](**options)  # type: ignore[arg-type]


__all__ = [
    "TASKS",
    "ClassMap",
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
