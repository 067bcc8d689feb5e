"""The images of a run, and the labels that it may see."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mtpsl.data.base import LabelledDataset
from mtpsl.data.label_lists import read_split
from mtpsl.data.partial import PartialDataset, derivable, scored_dataset
from mtpsl.data.regimes import WITH_UNLABELLED, check_ratio, label_mask, validate_for_training
from mtpsl.data.sizes import check_sizes
from mtpsl.errors import UserError
from mtpsl.inference.sizes import TrainingSizes
from mtpsl.tasks import Task
from mtpsl.training.config import RunConfig
from mtpsl.training.data import open_scored, open_split
from mtpsl.training.data_settings import DataSettings


@dataclass(frozen=True)
class RunData:
    """The images of a run, training with the labels that the regime leaves, validation with all; and notes on them.

    Attributes:
        images: how many images decide how long `auto` trains: those of an epoch; for a single-task run those of an
            epoch of all tasks together, so that it trains for as many epochs as what it is compared with.
        workers: how many processes read them, beside each that trains.
    """

    name: str
    tasks: list[Task]
    train: PartialDataset
    validation: PartialDataset
    notes: Sequence[str] = ()
    images: int = 0
    workers: int = 0


def run_data(config: RunConfig, datasets: tuple[LabelledDataset, LabelledDataset] | None = None) -> RunData:
    """Training and validation images of a run, checked: those of the given data sets, or of what its settings name.

    The label regime chooses among all tasks of the data set (`data.tasks`), so that runs for one, some or all of them
    see the same labels. What follows from those left is derived, and all is restricted to the run's tasks and, unless
    `data.epoch_images` is `all`, to images with a label for one of them. The regimes `semi` and `file` may leave an
    image without any label: it stays, for objectives that learn from such, as it does with `data.unlabelled keep`.

    Raises:
        UserError: a task without labels, an image without any, unknown tasks, images of several sizes.
    """
    settings = config.data
    source = datasets[0] if datasets else open_split(settings, settings.train_split, settings.tasks)
    names = config.tasks or list(source.tasks)
    for name in names:
        if name not in source.tasks:
            raise UserError(f"task {name!r} is not in the data set: choose from {', '.join(source.tasks)}")
    seed = config.training.seed if settings.label_seed is None else settings.label_seed
    chosen, notes = usable_images(settings, source, seed)
    keep_unlabelled = settings.regime in WITH_UNLABELLED or settings.unlabelled == "keep"
    keys = [source.keys[i] for i in chosen.tolist()]
    validate_for_training(
        (source.available | derivable(source, source.available))[chosen],
        keys,
        list(source.tasks),
        allow_unlabelled=keep_unlabelled,
        trained=names,
    )
    _, left = labels_of_run(config, source)
    train = PartialDataset(source, left, tasks=names, cache=False)
    require_labels(settings, train, names)
    if settings.epoch_images == "all":
        used = chosen
    else:
        rows = train.shown.any(1)
        rows[chosen[~left[chosen].any(1)]] |= keep_unlabelled
        used = rows.nonzero()[:, 0]
    train = train.subset(used.tolist())
    held_out = datasets[1] if datasets else open_scored(settings, settings.val_split, names)
    for name in names:
        if name not in held_out.tasks:
            raise UserError(f"task {name!r} is not in the validation data: it has {', '.join(held_out.tasks)}")
    validation = scored_dataset(held_out, names, cache=False)
    notes += derived_notes(train, validation)
    check_sizes(train, validation)
    images = len(train)
    if config.objective == "stl":
        images = len(chosen) if keep_unlabelled or settings.epoch_images == "all" else int(left.any(1).sum())
    tasks = [source.tasks[name] for name in source.tasks if name in names]
    return RunData(source.name, tasks, train, validation, notes, images)


def labels_of_run(config: RunConfig, source: LabelledDataset) -> tuple[Int[Tensor, " m"], Bool[Tensor, "n k"]]:
    """The training images that a run may use, and which labels of the data set it sees.

    Raises:
        UserError: the data set is none that such a run can be trained on.
    """
    seed = config.training.seed if config.data.label_seed is None else config.data.label_seed
    chosen, _ = usable_images(config.data, source, seed)
    left = torch.zeros_like(source.available)
    left[chosen] = regime_labels(config.data, source, chosen, seed)
    return chosen, left


def usable_images(settings: DataSettings, source: LabelledDataset, seed: int) -> tuple[Int[Tensor, " n"], list[str]]:
    """The images among which the regime chooses, in order, and notes on those left out.

    Raises:
        UserError: `data.limit` is no number of images.
    """
    chosen = torch.arange(len(source.keys))
    notes = []
    skip = source.own and settings.regime not in WITH_UNLABELLED if settings.unlabelled == "auto" else False
    if skip or settings.unlabelled == "skip":
        chosen = chosen[source.available.any(1)]
        if bare := len(source) - len(chosen):
            notes.append(
                f"{bare} of {len(source)} training images have no label of any task and are skipped: objectives that "
                "learn from such (semi_supervised, mean_teacher) get them with --data.unlabelled keep"
            )
    if settings.limit is not None:
        if not 0 < settings.limit <= len(chosen):
            raise UserError(f"data.limit should be between 1 and {len(chosen)} (all images), not {settings.limit}")
        order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(seed))
        chosen = chosen[order[: settings.limit].sort().values]
    return chosen, notes


def require_labels(settings: DataSettings, train: PartialDataset, names: Collection[str]) -> None:
    """Require a label of each task.

    Raises:
        UserError: a task has none left.
    """
    for column, name in enumerate(train.tasks):
        if name in names and not train.shown[:, column].any():
            raise UserError(
                f"task {name!r} has no label left in split {settings.train_split!r}: "
                f"{more_labels(settings)}, or leave it out with --tasks"
            )


def regime_labels(
    settings: DataSettings, source: LabelledDataset, chosen: Int[Tensor, " n"], seed: int
) -> Bool[Tensor, "n k"]:
    """The labels that the regime leaves to the chosen images; it draws none of tasks whose labels are all derived.

    Raises:
        UserError: a ratio, share or list of labels that does not fit the data set.
    """
    available = source.available[chosen]
    every, ratio, allowed = list(source.tasks), None, None
    drawn = [column for column, name in enumerate(every) if name not in source.follows or available[:, column].any()]
    names = [every[column] for column in drawn]
    if settings.ratio is not None:
        order = [name for name in dict.fromkeys(settings.tasks or names) if name in names]
        weights = dict(zip(order, check_ratio(settings.ratio, order), strict=True))
        ratio = [weights[name] for name in names]
    if settings.labels is not None:
        split = read_split(settings.labels)
        others = settings.tasks is not None or not {*split.tasks}.isdisjoint({*every} - {*names})
        allowed = split.mask(source.keys, names, ignore_others=others)[chosen]
    mask = torch.zeros_like(available)
    left = available[:, drawn]
    mask[:, drawn] = label_mask(left, settings.regime, seed, ratio=ratio, share=settings.share, allowed=allowed)
    return mask


def derived_notes(train: PartialDataset, validation: PartialDataset) -> list[str]:
    """How many labels follow from others."""
    notes = []
    for column, (name, source) in enumerate((name, train.dataset.follows.get(name)) for name in train.tasks):
        if count := int(train.derived[:, column].sum()):
            notes.append(f"{name} of {count} of {len(train)} training images follow from their {source}")
    for column, name in enumerate(validation.tasks):
        if validation.derived[:, column].any():
            notes.append(
                f"validation images have no {name}: scores of {name} compare with what follows from their "
                f"{validation.dataset.follows[name]}"
            )
    return notes


def more_labels(settings: DataSettings) -> str:
    """How to get labels for a task to which the regime leaves none."""
    cures = {
        "ratio": "give it a larger weight in --data.ratio",
        "semi": "raise --data.share or choose another --data.label_seed",
        "file": f"list images that have one in {settings.labels}",
    }
    return cures.get(settings.regime, "add labels, choose another data.regime")


def image_size(dataset: PartialDataset) -> tuple[int, int]:
    """Height and width of the images."""
    return dataset.image_size(0)


def training_sizes(data: RunData, size: tuple[int, int], most: int = 2000) -> TrainingSizes:
    """The size at which the network sees images, and those that they have as stored; only heads of files are read.

    Of very many images they are those of `most` at even distances.
    """
    images = len(data.train) + len(data.validation)
    parts = [
        (split, len(split) if images <= most else most * len(split) // images)
        for split in (data.train, data.validation)
    ]
    splits = [split.spread(count) for split, count in parts]
    return TrainingSizes.count(size, (split.original_size(index) for split in splits for index in range(len(split))))
