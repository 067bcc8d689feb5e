"""Numbers in place of `class_weights: balanced`, from the training labels in use."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from mtpsl.data.partial import PartialDataset
from mtpsl.progress import LateProgress
from mtpsl.tasks import ClassMap, Task


def with_class_weights(tasks: Sequence[Task], train: PartialDataset, known: Sequence[Task] = ()) -> list[Task]:
    """The tasks with numbers where class weights are `balanced`; other tasks as they are.

    Args:
        tasks: the tasks of a run.
        train: its training images with the labels that it may see; hidden ones are not read.
        known: the tasks that a run folder holds: numbers that are there are taken, and nothing is counted.
    """
    weights = {task.name: task.class_weights for task in known if isinstance(task, ClassMap)}
    open_tasks = [task for task in tasks if isinstance(task, ClassMap) and task.class_weights == "balanced"]
    weighted: dict[str, Task] = {}
    for task in open_tasks:
        numbers = weights.get(task.name)
        if isinstance(numbers, list) and len(numbers) == task.num_classes:
            weighted[task.name] = type(task)(task.name, **{**task.options(), "class_weights": numbers})
    uncounted = [task for task in open_tasks if task.name not in weighted]
    counts = count_classes(uncounted, train)
    weighted |= {task.name: task.balanced(counts[task.name]) for task in uncounted}
    return [weighted.get(task.name, task) for task in tasks]


def count_classes(tasks: Sequence[ClassMap], train: PartialDataset) -> dict[str, Int[Tensor, " c"]]:
    """How many valid pixels of each class the labels have that may be seen."""
    counts = {task.name: torch.zeros(task.num_classes, dtype=torch.long) for task in tasks}
    columns = torch.tensor([name in counts for name in train.tasks])
    rows = (train.mask & columns).any(1).nonzero()[:, 0].tolist() if counts else []
    with LateProgress("counting classes", len(rows)) as progress:
        for row in rows:
            sample = train[row]
            for task in tasks:
                if task.name in sample.targets:
                    known = sample.targets[task.name][sample.valid[task.name]]
                    counts[task.name] += torch.bincount(known, minlength=task.num_classes)
            progress.advance()
    return counts
