"""Which labels of a data set a run is to fill, and which are copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.layouts.description import read_description
from mtpsl.data.layouts.folder import FolderDataset
from mtpsl.data.partial import derivable
from mtpsl.data.registry import require_layout, splits_of
from mtpsl.data.split_names import find_split
from mtpsl.errors import UserError
from mtpsl.tasks import Task
from mtpsl.training.data import check_same_tasks, open_split
from mtpsl.training.run_data import labels_of_run
from mtpsl.training.trained import TrainedRun


@dataclass(frozen=True)
class Plan:
    """What is done with the training images of a data set.

    Attributes:
        train: the training images with the labels that exist.
        others: those of the other splits.
        tasks: the tasks whose missing labels are predicted, in the order of the run.
        images: which training images are copied.
        kept: which of their labels are; the others are left out.
        missing: which labels are predicted: an image per row, one of `tasks` per column.
        description: the dataset.yaml.
    """

    train: FolderDataset
    others: list[FolderDataset]
    tasks: list[Task]
    images: Bool[Tensor, " n"]
    kept: Bool[Tensor, "n k"]
    missing: Bool[Tensor, "n t"]
    description: Path


def make_plan(
    run: TrainedRun, root: Path, description: Path | None, tasks: Sequence[str] | None, *, hidden: bool
) -> Plan:
    """Look at a data set and a run.

    Args:
        run: whose predictions fill it.
        root: the data set's folder.
        description: its dataset.yaml; by default the one in `root`.
        tasks: those to fill; by default all that the run predicts.
        hidden: take labels that the run did not see for missing.

    Raises:
        UserError: they do not fit each other, or nothing is missing.
    """
    layout = require_layout(root, "folder" if description is not None else None)
    if layout != "folder":
        raise UserError(
            f"{root} is {layout}: labels are filled in folders: make such of it with "
            f"`mtpsl convert {root} FOLDER --to folder`"
        )
    described = read_description(root / "dataset.yaml" if description is None else description)
    if described.autolabels is not None:
        raise UserError(
            f"{root}: has labels predicted by {described.autolabels.title} already: give the data set that it was "
            "made of"
        )
    filled = chosen_tasks(run, tasks)
    if lacking := [task.name for task in filled if task.name not in described.formats]:
        raise UserError(
            f"{described.path}: has no task {', '.join(lacking)}, which {run.folder.path} predicts: describe it there, "
            "or choose others with --tasks"
        )
    splits = splits_of("folder", root, description)
    wanted = run.config.data.train_split
    name = find_split(wanted, splits)
    if name is None:
        raise UserError(f"{root}: there is no split {wanted!r} to fill: there are {', '.join(splits)}")
    opened = {split: FolderDataset(root, split, description=described.path) for split in splits}
    train = opened.pop(name)
    check_same_tasks(filled, train.tasks, str(root))
    images, kept = torch.ones(len(train), dtype=torch.bool), train.available
    if hidden:
        images, kept = seen_by(run, root, described.path, name, train)
    columns = [[*train.tasks].index(task.name) for task in filled]
    missing = (~(kept | derivable(train, kept)))[:, columns] & images[:, None]
    if not missing.any():
        names = ", ".join(task.name for task in filled)
        raise UserError(f"{root}: every image of {name} has a label of {names}: there is nothing to fill")
    return Plan(train, [*opened.values()], filled, images, kept, missing, described.path)


def chosen_tasks(run: TrainedRun, names: Sequence[str] | None) -> list[Task]:
    """Those of the run's tasks.

    Raises:
        UserError: it does not predict one of them.
    """
    known = {task.name: task for task in run.tasks}
    for name in names or ():
        if name not in known:
            raise UserError(f"--tasks: {run.folder.path} does not predict {name!r}, but {', '.join(known)}")
    return [task for name, task in known.items() if names is None or name in names]


def seen_by(
    run: TrainedRun, root: Path, description: Path, split: str, train: FolderDataset
) -> tuple[Bool[Tensor, " n"], Bool[Tensor, "n k"]]:
    """Which images of a data set the run's label regime leaves, and which labels; images without any label stay."""
    settings = replace(
        run.config.data, name="folder", root=str(root), description=str(description), size=None, score_size="input"
    )
    source = open_split(settings, split, settings.tasks)
    chosen, left = labels_of_run(replace(run.config, data=settings), source)
    images = ~train.available.any(1)
    images[chosen] = True
    kept = torch.zeros_like(train.available)
    kept[:, [[*train.tasks].index(name) for name in source.tasks]] = left
    return images, kept
