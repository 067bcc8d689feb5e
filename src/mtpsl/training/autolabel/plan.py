"""Which labels of a data set runs are to fill, and which are copied."""

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
from mtpsl.training.config import RunConfig
from mtpsl.training.data import check_same_tasks, open_split
from mtpsl.training.run_data import labels_of_run
from mtpsl.training.trained import TrainedRun


@dataclass(frozen=True)
class Plan:
    """What is done with the training images of a data set.

    Attributes:
        train: the training images with the labels that exist.
        others: those of the other splits.
        tasks: the tasks whose missing labels are predicted, in the order of the first run.
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
    runs: Sequence[TrainedRun], root: Path, description: Path | None, tasks: Sequence[str] | None, *, hidden: bool
) -> Plan:
    """Look at a data set and the runs.

    Args:
        runs: whose predictions fill it.
        root: the data set's folder.
        description: its dataset.yaml; by default the one in `root`.
        tasks: those to fill; by default all that the first run predicts.
        hidden: take labels that the runs did not see for missing.

    Raises:
        UserError: they do not fit each other, or nothing is missing.
    """
    run, places = runs[0], [one.folder.path.resolve() for one in runs]
    if len({*places}) < len(places):
        raise UserError("each run should be given once: " + ", ".join(str(one.folder.path) for one in runs))
    train, others = open_to_fill(root, description, run.config.data.train_split)
    described = train.described
    filled = chosen_tasks(runs, tasks)
    if lacking := [task.name for task in filled if task.name not in described.formats]:
        raise UserError(
            f"{described.path}: has no task {', '.join(lacking)}, which {run.folder.path} predicts: describe it there, "
            "or choose others with --tasks"
        )
    for one in runs:
        check_same_tasks([task for task in one.tasks if task.name in names_of(filled)], train.tasks, str(root))
    images, kept = torch.ones(len(train), dtype=torch.bool), train.available
    if hidden:
        images, kept = seen_by(run.config, train)
        for one in runs[1:]:
            if not torch.equal(seen_by(one.config, train)[1], kept):
                raise UserError(
                    f"--hidden: {one.folder.path} saw other labels than {run.folder.path}: train it with the same "
                    "--data.label_seed (by default the run's seed), regime and limit"
                )
    missing = missing_labels(train, names_of(filled), images, kept)
    return Plan(train, others, filled, images, kept, missing, described.path)


def open_to_fill(root: Path, description: Path | None, wanted: str) -> tuple[FolderDataset, list[FolderDataset]]:
    """The training images of a data set whose labels can be filled, and those of its other splits.

    Args:
        root: the data set's folder.
        description: its dataset.yaml; by default the one in `root`.
        wanted: the split to fill.

    Raises:
        UserError: it is no such data set.
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
    splits = splits_of("folder", root, description)
    name = find_split(wanted, splits)
    if name is None:
        raise UserError(f"{root}: there is no split {wanted!r} to fill: there are {', '.join(splits)}")
    opened = {split: FolderDataset(root, split, description=described.path) for split in splits}
    train = opened.pop(name)
    return train, [*opened.values()]


def missing_labels(
    train: FolderDataset, names: Sequence[str], images: Bool[Tensor, " n"], kept: Bool[Tensor, "n k"]
) -> Bool[Tensor, "n t"]:
    """Which labels are to be predicted: those of the named tasks that neither are kept nor follow from kept ones.

    Raises:
        UserError: there are none.
    """
    columns = [[*train.tasks].index(name) for name in names]
    missing = (~(kept | derivable(train, kept)))[:, columns] & images[:, None]
    if not missing.any():
        raise UserError(
            f"{train.root}: every image of {train.split} has a label of {', '.join(names)}: there is nothing to fill"
        )
    return missing


def chosen_tasks(runs: Sequence[TrainedRun], names: Sequence[str] | None) -> list[Task]:
    """Those of the first run's tasks; by default all of them.

    Raises:
        UserError: a run does not predict one of them.
    """
    wanted = names_of(runs[0].tasks) if names is None else names
    for run in runs:
        known = names_of(run.tasks)
        if lacking := [name for name in wanted if name not in known]:
            raise UserError(
                f"--tasks: {run.folder.path} does not predict {lacking[0]!r}, but {', '.join(known)}: choose tasks "
                "that every run predicts"
            )
    return [task for task in runs[0].tasks if task.name in wanted]


def names_of(tasks: Sequence[Task]) -> list[str]:
    """What they are called."""
    return [task.name for task in tasks]


def seen_by(config: RunConfig, train: FolderDataset) -> tuple[Bool[Tensor, " n"], Bool[Tensor, "n k"]]:
    """Which images of a data set a run's label regime leaves, and which labels; images without any label stay."""
    root, description = str(train.root), str(train.described.path)
    settings = replace(config.data, name="folder", root=root, description=description, size=None, score_size="input")
    source = open_split(settings, train.split, settings.tasks)
    chosen, left = labels_of_run(replace(config, data=settings), source)
    images = ~train.available.any(1)
    images[chosen] = True
    kept = torch.zeros_like(train.available)
    kept[:, [[*train.tasks].index(name) for name in source.tasks]] = left
    return images, kept
