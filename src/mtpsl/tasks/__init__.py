"""Dense prediction tasks."""

from mtpsl.tasks.base import Task
from mtpsl.tasks.depth import Depth
from mtpsl.tasks.edges import Edges
from mtpsl.tasks.normals import Normals
from mtpsl.tasks.segmentation import Segmentation

TASKS: dict[str, type[Task]] = {
    "segmentation": Segmentation,
    "depth": Depth,
    "normals": Normals,
    "edges": Edges,
}

__all__ = ["TASKS", "Depth", "Edges", "Normals", "Segmentation", "Task"]
