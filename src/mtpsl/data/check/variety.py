"""Whether there is anything to learn from the labels of a training set."""

from __future__ import annotations

import torch

from mtpsl.data.partial import PartialDataset
from mtpsl.errors import UserError
from mtpsl.tasks import ClassMap, Edges, MultiLabel, Saliency, Task


def require_variety(dataset: PartialDataset) -> None:
    """Require two classes, boundaries and other pixels, or anything that is known, in all labels of a task together.

    Images are read in a random order until every task has shown that, most often the first or the second one, so that a
    good data set costs nothing.

    Raises:
        UserError: all labels of a task are alike.
    """
    seen: dict[str, tuple[int, int]] = {}
    open_tasks = {name: column for column, name in enumerate(dataset.tasks) if dataset.shown[:, column].any()}
    generator, windows = torch.Generator().manual_seed(0), dataset.windows
    count = len(dataset)
    order = torch.randperm(count, generator=generator) if windows is None else windows.draw(generator, 1, count)[0]
    for index in order.tolist():
        wanted = [name for name, column in open_tasks.items() if dataset.shown[index, column]]
        if not wanted:
            continue
        sample = dataset[index]
        for name in wanted:
            known = sample.targets[name][..., sample.valid[name]]
            if not known.numel():
                continue
            if has_kinds(dataset.tasks[name]):
                low, high = int(known.min()), int(known.max())
                before = seen.get(name, (low, high))
                seen[name] = low, high = min(low, before[0]), max(high, before[1])
                if low == high:
                    continue
            del open_tasks[name]
        if not open_tasks:
            return
    for name, column in open_tasks.items():
        labels = int(dataset.shown[:, column].sum())
        raise UserError(
            f"task {name!r} has nothing to learn in its {labels} training labels: "
            f"{one_kind(dataset.tasks[name], seen[name][0] if name in seen else None)} Correct dataset.yaml or the "
            "labels, or leave the task out with --tasks"
        )


def has_kinds(task: Task) -> bool:
    """Whether a label tells kinds of pixels apart."""
    return isinstance(task, ClassMap | Edges | Saliency | MultiLabel)


def one_kind(task: Task, kind: int | None) -> str:
    """What is wrong if all known pixels are of one kind, or none is known, and what may be the cause.

    >>> one_kind(Saliency("saliency"), 0)
    'no salient pixel at all: should `threshold` be lower?'
    """
    if kind is None:
        return "no known pixel at all: is everything among `ignore` or `missing`?"
    if isinstance(task, ClassMap):
        return f"no pixel of another class than {task.class_names[kind]}: are the others' numbers among `ignore`?"
    if isinstance(task, MultiLabel):
        return f"every known pixel has {'all classes' if kind else 'no class'}: does `values` name absence first?"
    what, cure = "boundary", "is the number that marks one among `ignore`?"
    if isinstance(task, Saliency):
        what, cure = "salient", f"should `threshold` be {'higher' if kind else 'lower'}?"
    elif kind:
        cure = "does `values` name the number of boundaries last?"
    return f"no pixel that is not {what}: {cure}" if kind else f"no {what} pixel at all: {cure}"
