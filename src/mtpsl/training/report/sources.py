"""The network and the images of a run, as far as they are there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from mtpsl.data.partial import PartialDataset
from mtpsl.errors import UserError
from mtpsl.tasks import Task
from mtpsl.training.data import check_same_tasks
from mtpsl.training.run_data import RunData, run_data
from mtpsl.training.score_run import scoring_data
from mtpsl.training.trained import TrainedRun, load
from mtpsl.visualization.report.content import Annotation
from mtpsl.visualization.report.drawing import label_picture, photo_picture


@dataclass(frozen=True)
class Source:
    """What can be looked at: a network with images, or None of it and `notes` why."""

    network: nn.Module | None = None
    tasks: Sequence[Task] = ()
    train: PartialDataset | None = None
    validation: PartialDataset | None = None
    notes: Sequence[str] = ()


def of_training(network: nn.Module, data: RunData) -> Source:
    """What a training has at hand."""
    return Source(network, data.tasks, data.train, data.validation.at_image_size())


def of_folder(path: Path, root: str | None = None) -> Source:
    """What a run folder and the data that it names give.

    Args:
        path: the run folder.
        root: where the data lies, if not where it lay.
    """
    try:
        run = load(path)
    except UserError as error:
        return Source(notes=[f"Predictions are not computed anew: {error}"])
    notes = []
    train = validation = None
    try:
        data = opened(run, root)
        train, validation = data.train, data.validation.at_image_size()
    except UserError as error:
        notes.append(f"The training images are not shown: {error}")
        try:
            validation = scoring_data(run, root).dataset.at_image_size()
        except UserError as missing:
            notes = [f"The data is not there, so predictions are not computed anew: {missing}"]
    return Source(run.network, run.tasks, train, validation, notes)


def opened(run: TrainedRun, root: str | None) -> RunData:
    """The data of a run."""
    settings = run.config.data
    if root is not None:
        settings = dataclasses.replace(settings, root=str(Path(root).resolve()))
    data = run_data(dataclasses.replace(run.config, data=settings, tasks=[task.name for task in run.tasks]))
    check_same_tasks(run.tasks, {task.name: task for task in data.tasks}, settings.root)
    return data


def annotation_of(source: Source, examples: int) -> Annotation | None:
    """The labels of the training images, and pictures of some, without those that cannot be read."""
    data = source.train
    if data is None:
        return None
    columns = [[*data.tasks].index(task.name) for task in source.tasks]
    drawn = []
    some = data.spread(examples)
    for index in range(len(some)):
        try:
            sample = some[index]
        except UserError:
            continue
        labels = [
            label_picture(task, sample.targets[task.name], sample.valid[task.name])
            if task.name in sample.targets
            else None
            for task in source.tasks
        ]
        drawn.append((sample.key, photo_picture(sample.image), labels))
    return Annotation([task.name for task in source.tasks], data.mask[:, columns].numpy().astype(np.bool_), drawn)
