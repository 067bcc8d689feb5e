"""From a configuration to data, network and objective."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from mtpsl.augmentation.photometric import PhotometricAugmentation
from mtpsl.augmentation.rotate import Rotation
from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.data.base import LabelledDataset
from mtpsl.data.cache import third_of_free_memory
from mtpsl.data.label_lists import read_split
from mtpsl.data.partial import PartialDataset, derivable, scored_dataset
from mtpsl.data.regimes import WITH_UNLABELLED, check_ratio, label_mask, validate_for_training
from mtpsl.data.sizes import check_sizes
from mtpsl.errors import UserError
from mtpsl.inference.sizes import TrainingSizes
from mtpsl.networks import MultiTaskNetwork
from mtpsl.objectives import Objective
from mtpsl.plugins import running
from mtpsl.structures import Batch
from mtpsl.tasks import Task
from mtpsl.training.config import RunConfig
from mtpsl.training.data import open_scored, open_split
from mtpsl.training.objects import made_objective, made_weighting
from mtpsl.training.optimizer import encoder_of
from mtpsl.training.option_groups import constructor_arguments
from mtpsl.training.own_code import chosen_class
from mtpsl.training.settings import DataSettings
from mtpsl.weighting import GradientWeighting, GradNorm, Weighting, shared_parameters


@dataclass(frozen=True)
class RunData:
    """The images of a run, training with the labels that the regime leaves, validation with all; and notes on them.

    Attributes:
        images: how many images decide how long `auto` trains: those of an epoch; for a single-task run those of an
            epoch of all tasks together, so that it trains for as many epochs as what it is compared with.
    """

    name: str
    tasks: list[Task]
    train: PartialDataset
    validation: PartialDataset
    notes: Sequence[str] = ()
    images: int = 0


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
    label_seed = config.training.seed if settings.label_seed is None else settings.label_seed
    source = datasets[0] if datasets else open_split(settings, settings.train_split, settings.tasks)
    names = config.tasks or list(source.tasks)
    for name in names:
        if name not in source.tasks:
            raise UserError(f"task {name!r} is not in the data set: choose from {', '.join(source.tasks)}")
    chosen = torch.arange(len(source.keys))
    notes = []
    skip = source.own and settings.regime not in WITH_UNLABELLED if settings.unlabelled == "auto" else False
    if skip or settings.unlabelled == "skip":
        chosen = chosen[source.available.any(1)]
        if bare := len(source) - len(chosen):
            notes.append(
                f"{bare} of {len(source)} training images have no label of any task and are skipped: objectives that "
                "learn from such (semi_supervised) get them with --data.unlabelled keep"
            )
    if settings.limit is not None:
        if not 0 < settings.limit <= len(chosen):
            raise UserError(f"data.limit should be between 1 and {len(chosen)} (all images), not {settings.limit}")
        order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(label_seed))
        chosen = chosen[order[: settings.limit].sort().values]
    keep_unlabelled = settings.regime in WITH_UNLABELLED or settings.unlabelled == "keep"
    keys = [source.keys[i] for i in chosen.tolist()]
    validate_for_training(
        (source.available | derivable(source, source.available))[chosen],
        keys,
        list(source.tasks),
        allow_unlabelled=keep_unlabelled,
        trained=names,
    )
    mask = torch.zeros_like(source.available)
    mask[chosen] = regime_labels(settings, source, chosen, label_seed)
    unlabelled = chosen[~mask[chosen].any(1)]
    of_all = len(chosen) if keep_unlabelled or settings.epoch_images == "all" else int(mask.any(1).sum())
    room = third_of_free_memory(config.training.devices)
    train = PartialDataset(source, mask, tasks=names, cache=settings.cache, room=room)
    for column, name in enumerate(source.tasks):
        if name in names and not train.shown[:, column].any():
            raise UserError(
                f"task {name!r} has no label left in split {settings.train_split!r}: "
                f"{more_labels(settings)}, or leave it out with --tasks"
            )
    rows = train.shown.any(1)
    rows[unlabelled] |= keep_unlabelled
    used = chosen if settings.epoch_images == "all" else rows.nonzero()[:, 0]
    train = train.subset(used.tolist())
    held_out = datasets[1] if datasets else open_scored(settings, settings.val_split, names)
    for name in names:
        if name not in held_out.tasks:
            raise UserError(f"task {name!r} is not in the validation data: it has {', '.join(held_out.tasks)}")
    validation = scored_dataset(held_out, names, cache=settings.cache, room=room)
    notes += derived_notes(train, validation)
    check_sizes(train, validation)
    tasks = [source.tasks[name] for name in source.tasks if name in names]
    images = of_all if config.objective == "stl" else len(train)
    return RunData(source.name, tasks, train, validation, notes, images)


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


def build_network(config: RunConfig, tasks: list[Task], *, pretrained: bool = True) -> MultiTaskNetwork:
    """The network of a run, with fresh weights; without `pretrained` none are looked for, since a run's will follow."""
    options = config.network_options
    if not pretrained and "weights" in options:
        options = {**options, "weights": "none"}
    try:
        cls = chosen_class("network", config.network, config.code)
        with running(cls):
            return cls({task.name: task.out_channels for task in tasks}, **options)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"network {config.network}: {error}") from error


def build_objective(
    config: RunConfig,
    tasks: list[Task],
    network: nn.Module,
    given: Objective | type[Objective] | None = None,
) -> Objective:
    """The objective of a run, with fresh weights; or the given one."""
    try:
        if given is not None:
            return made_objective(given, tasks, network)
        cls = chosen_class("objective", config.objective, config.code)
        options = constructor_arguments(cls, config.objective_options)
        with running(cls):
            return cls(tasks, network, **options)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"objective {config.objective}: {error}") from error


def build_weighting(
    config: RunConfig,
    tasks: list[Task],
    network: nn.Module,
    given: Weighting | type[Weighting] | None = None,
) -> Weighting:
    """The weighting of a run, in its initial state; or the given one.

    Raises:
        UserError: its options make no sense, or the network trains no parameter that it could weigh.
    """
    if config.weighting == "gradnorm" and config.training.compile and config.weighting_options.get("layer") is None:
        raise UserError(
            "weighting gradnorm cannot see which layer tasks share last in a compiled network: name its weight with "
            "--weighting.layer, e.g. decoder.0.3.weight for segnet"
        )
    if config.weighting == "gradnorm" and (config.objective_options.get("extensions") or {}).get("balance"):
        raise UserError(
            "weighting gradnorm sends gradients through the predictions twice, which objective.extensions.balance "
            "would count: use one of the two"
        )
    try:
        if given is not None:
            weighting = made_weighting(given, tasks)
        else:
            cls = chosen_class("weighting", config.weighting, config.code)
            with running(cls):
                weighting = cls([task.name for task in tasks], **config.weighting_options)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"weighting {config.weighting}: {error}") from error
    frozen = {id(p) for p in encoder_of(network).parameters()} if config.training.freeze_encoder else set()
    layer = config.weighting_options.get("layer")
    trained = [name for name, p in network.named_parameters() if id(p) not in frozen]
    if layer is not None and layer not in trained:
        raise UserError(
            f"weighting.layer {layer!r} is no parameter of the network that is trained: give one such as {trained[0]}"
        )
    of_shared = isinstance(weighting, GradientWeighting) or (isinstance(weighting, GradNorm) and layer is None)
    if of_shared and all(id(p) in frozen for p in shared_parameters(network)):
        raise UserError(
            f"weighting {config.weighting} weighs what tasks share, of which nothing is trained: leave out "
            "training.freeze_encoder or network.decoder_per_task, or choose another weighting"
        )
    return weighting


def build_augmentation(config: RunConfig, tasks: list[Task]) -> Callable[[Batch], Batch] | None:
    """The augmentation of a run, or none where there is nothing to do."""
    settings = config.training
    steps: list[Callable[[Batch], Batch]] = []
    try:
        if settings.rotation or settings.rescale is not None:
            steps.append(
                Rotation(
                    tasks,
                    degrees=settings.rotation,
                    scales=settings.rescale or (1.0, 1.0),
                    draw=settings.rescale_draw,
                    border=settings.border,
                )
            )
    except ValueError as error:
        raise UserError(f"training.rotation, training.rescale: {error}") from error
    try:
        if settings.flip or any(scale != 1 for scale in settings.scales):
            steps.append(Augmentation(tasks, scales=settings.scales, flip=settings.flip))
    except ValueError as error:
        raise UserError(f"training.scales: {error}") from error
    if settings.photometric:
        steps.append(PhotometricAugmentation(settings.photometric))
    return (lambda batch: reduce(lambda seen, step: step(seen), steps, batch)) if steps else None


def image_size(dataset: PartialDataset) -> tuple[int, int]:
    """Height and width of the images."""
    height, width = dataset[0].image.shape[1:]
    return height, width


def training_sizes(data: RunData, size: tuple[int, int]) -> TrainingSizes:
    """The size at which the network sees images, and those that they have as stored; only heads of files are read."""
    splits = (data.train, data.validation)
    return TrainingSizes.count(size, (split.original_size(index) for split in splits for index in range(len(split))))
