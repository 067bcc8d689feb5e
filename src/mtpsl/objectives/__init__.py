"""Objectives: what papers call a method."""

from mtpsl.objectives.base import Objective
from mtpsl.objectives.cross_task import CrossTaskConsistency
from mtpsl.objectives.mapping import MappingNetwork
from mtpsl.objectives.supervised import SingleTask, Supervised, supervised_losses

OBJECTIVES: dict[str, type[Objective]] = {
    "stl": SingleTask,
    "supervised": Supervised,
    "cross_task": CrossTaskConsistency,
}

__all__ = [
    "OBJECTIVES",
    "CrossTaskConsistency",
    "MappingNetwork",
    "Objective",
    "SingleTask",
    "Supervised",
    "supervised_losses",
]
