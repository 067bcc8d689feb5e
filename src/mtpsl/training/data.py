"""The data set that a run's settings name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from mtpsl.data import DATASETS
from mtpsl.data.base import LabelledDataset
from mtpsl.data.layouts.merged import MergedDataset
from mtpsl.data.own_size import OwnSizeLabels
from mtpsl.data.registry import CONVERTED, layout_class, open_layout, recognize, splits_of
from mtpsl.data.scenes.dataset import ALL_TASKS, ScenesDataset
from mtpsl.data.split_names import find_split
from mtpsl.errors import UserError
from mtpsl.plugins import is_object, title
from mtpsl.tasks import ClassMap, Task
from mtpsl.training.data_settings import DataSettings


def open_split(
    settings: DataSettings, split: str, tasks: list[str] | None, *, edges: str | None = None
) -> LabelledDataset:
    """One split of the data set; in place of a named layout also what `mtpsl convert` made of it.

    Args:
        settings: which data set, at which size.
        split: which of its splits.
        tasks: the labels to read; by default all.
        edges: which boundaries a layout that has several reads; by default its first.

    Raises:
        UserError: the data set is not there or not as described, or has another number of classes than it should.
    """
    if settings.name == "scenes":
        return open_scenes(settings, split, tasks)
    if is_object(settings.name):
        if settings.root is None:
            raise UserError(
                f"data.root is missing: the run was trained on a {title(settings.name)} in Python, which its folder "
                "does not hold: name the folder of a data set, e.g. --data.root DATA"
            )
        settings = replace(settings, name="auto")
    if settings.root is None:
        raise UserError("data.root is missing: name the folder of the data set, e.g. --data.root DATA")
    name: str = settings.name
    if name == "auto":  # what is like no layout is read as a folder, which says best what is missing
        name = "folder" if settings.description else recognize(settings.root) or "folder"
    elif name not in ("folder", "merged") and recognize(settings.root) in CONVERTED:
        name = recognize(settings.root) or name
    own: dict[str, Any] = {option: getattr(settings, option) for option in ("description", "label_cache")}
    if name == settings.name and settings.options:
        own |= settings.options
    if name in CONVERTED and settings.name not in ("auto", name):  # they are meant for the source
        own = {}
    classes = settings.classes
    if usual_classes(name) is not None:
        own["classes"] = classes
    elif classes is None and name in CONVERTED:
        classes = usual_classes(settings.name)
    if settings.window is not None:
        if name != "shards":
            raise UserError(
                f"data.window belongs to data sets in shards: {settings.root} ({name}) is none: leave it out"
            )
        own["window"] = settings.window
    if name == "shards":
        own |= {"cache_folder": settings.cache_folder, "cache_limit": settings.cache_limit}
    known = splits_of(name, settings.root, own.get("description"))
    if known and find_split(split, known) is None:
        options = {settings.train_split: "--data.train_split", settings.val_split: "--data.val_split"}
        cure = f": name the one that is meant with {options[split]}" if split in options else ""
        raise UserError(f"{settings.root}: there is no split {split!r}: there are {', '.join(known)}{cure}")
    if edges is not None:
        if "edges" not in inspect.signature(layout_class(name)).parameters:
            raise UserError(f"data.score_edges {edges}: {settings.root} ({name}) has edges of one kind: leave it out")
        own["edges"] = edges
    dataset = open_layout(name, settings.root, split, size=settings.size, tasks=tasks, **own)
    if name in CONVERTED and settings.name not in ("auto", name, dataset.name):
        raise UserError(
            f"{settings.root}: was converted from {dataset.name}, not from {settings.name}: give --data.name {name}"
        )
    segmentation = dataset.tasks.get("segmentation")
    if classes is not None and isinstance(segmentation, ClassMap) and segmentation.num_classes != classes:
        raise UserError(
            f"{settings.root}: segmentation has {segmentation.num_classes} classes, not {classes}: give "
            f"--data.classes {segmentation.num_classes}" + ", or convert the set again" * (name in CONVERTED)
        )
    return dataset


def open_scored(settings: DataSettings, split: str, tasks: list[str] | None) -> LabelledDataset:
    """One split to compute scores on: with the labels' own size and the edges that the settings ask for.

    Where it has no label of a task at all, the one is read, too, from which those of the task follow.

    Raises:
        UserError: as `open_split`; or what is stored has no size of its own.
    """
    edges = None if settings.score_edges == "laplacian" else settings.score_edges
    sized = open_split(settings, split, tasks, edges=edges)
    bare = [name for name, some in zip(sized.tasks, sized.available.any(0).tolist(), strict=True) if not some]
    if tasks and (others := {sized.follows.get(name) for name in bare} - {None, *tasks}):
        tasks = [*tasks, *(name for name in others if name)]
        sized = open_split(settings, split, tasks, edges=edges)
    if settings.score_size == "input":
        return sized
    if isinstance(sized, ScenesDataset | MergedDataset):
        raise UserError(
            f"data.score_size own: {sized.name} has images of one size only: score them at it with --data.score_size "
            "input"
        )
    stored = open_split(replace(settings, size=None, score_size="input"), split, tasks, edges=edges)
    return OwnSizeLabels(sized, stored)


def usual_classes(layout: str) -> int | None:
    """How many classes a layout has that offers several; None for one that does not, or is none."""
    dataset = DATASETS.get(layout)
    parameter = None if dataset is None else inspect.signature(dataset).parameters.get("classes")
    return None if parameter is None else int(parameter.default)


def check_same_tasks(tasks: list[Task], data: Mapping[str, Task], root: str | None) -> None:
    """Refuse labels that mean something else than those that a network was trained on.

    Raises:
        UserError: other classes, another unit, inverse depth for depth, or the reverse.
    """
    for task in tasks:
        ours, theirs = task.options(), data[task.name].options()
        for option in ("num_classes", "class_names", "unit", "inverse"):
            if ours.get(option) != theirs.get(option):
                raise UserError(
                    f"{root}: {task.name} has {option} {theirs.get(option)!r}, but the network was trained with "
                    f"{ours.get(option)!r}: give data with the same labels"
                )


def open_scenes(settings: DataSettings, split: str, tasks: list[str] | None) -> LabelledDataset:
    """One split of the built-in scenes.

    Raises:
        UserError: settings of a data set on disk, or another split.
    """
    for option in ("root", "description", "classes", "label_cache"):
        if getattr(settings, option) is not None:
            raise UserError(
                f"data.{option} does not apply to the built-in scenes (data.name scenes): to read a data set from your "
                "disk add --data.name auto"
            )
    kinds: dict[str, tuple[Literal["train", "val"], int]] = {
        settings.val_split: ("val", settings.scenes_val),
        settings.train_split: ("train", settings.scenes_train),
    }
    if split not in kinds:
        raise UserError(f"the built-in scenes have no split {split!r}: there are {', '.join(reversed(kinds))}")
    kind, count = kinds[split]
    return ScenesDataset(count, kind, size=settings.size or (96, 128), tasks=tasks or ALL_TASKS)
