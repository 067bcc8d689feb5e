"""Train a run from its configuration, or continue it."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from rich.console import Console
from rich.markup import escape
from torch import nn

from mtpsl.data.check.variety import require_variety
from mtpsl.errors import UserError
from mtpsl.evaluation.evaluate import Scores
from mtpsl.phrases import command, resuming
from mtpsl.tasks import Task
from mtpsl.training.best import BestEpoch, stopped_early
from mtpsl.training.build import (
    RunData,
    build_augmentation,
    build_network,
    build_objective,
    build_weighting,
    image_size,
    run_data,
    training_sizes,
)
from mtpsl.training.callbacks import History, LastCheckpoint
from mtpsl.training.class_balance import with_class_weights
from mtpsl.training.config import RunConfig
from mtpsl.training.continued import changed_options, check_same_code, check_same_data, record, written
from mtpsl.training.expected_time import ExpectedTime
from mtpsl.training.length import decisions, with_length
from mtpsl.training.loaders import Loaders
from mtpsl.training.malloc import keep_freed_memory
from mtpsl.training.module import TrainingModule
from mtpsl.training.objects import Objects, fitting
from mtpsl.training.own_code import code_of
from mtpsl.training.pictures import draw_pictures
from mtpsl.training.precision import with_precision
from mtpsl.training.preload import fill_caches
from mtpsl.training.run_folder import RunFolder
from mtpsl.training.smallest_batch import check_smallest_batch
from mtpsl.training.trained import load_run, load_weights
from mtpsl.training.trainer import make_trainer

__all__ = ["load_run", "train"]


def train(
    config: RunConfig, out: Path, *, resume: bool = False, progress: bool = True, objects: Objects | None = None
) -> Scores:
    """Train to the last epoch and return its scores.

    Everything a user can get wrong is checked before the folder is made.

    Args:
        config: what to train.
        out: the run folder; new, or with `resume` an existing one.
        resume: continue from the last complete checkpoint, or from the start where there is none.
        progress: show a progress bar.
        objects: what takes the place of what the configuration names.

    Raises:
        UserError: something in the configuration or the data is wrong, or `out` exists already.
    """
    folder, objects = RunFolder(out), objects or Objects()
    main = int(os.environ.get("LOCAL_RANK", "0")) == 0
    if main and not resume:
        folder.check_new()
    checkpoint = folder.checkpoint if resume and folder.checkpoint.exists() else None
    if checkpoint:
        config = with_precision(config, folder)
    stored = folder.load_checkpoint() if checkpoint else {}
    changed = changed_options(out, config, stored) if checkpoint else {}
    data = run_data(config, objects.datasets)
    config = with_code(config, data)
    if checkpoint:
        check_same_code(out, config.code, stored)
    if main:
        for note in data.notes:
            Console(stderr=True).print(f"[yellow]note[/] {escape(note)}", soft_wrap=True, highlight=False)
    if checkpoint:
        check_same_data(out, data, stored)
    given, config = config.training, with_length(config, data.images)
    torch.manual_seed(config.training.seed)
    start = None if checkpoint or config.training.start_from is None else RunFolder(Path(config.training.start_from))
    if before := folder if resume else start:
        data = dataclasses.replace(data, tasks=in_order(data.tasks, before))
    size = image_size(data.train)
    network: nn.Module
    if objects.network is None:
        network = build_network(config, data.tasks, pretrained=not (checkpoint or start))
    else:
        network = fitting(objects.network, data.tasks, size)
    check_smallest_batch(network, size, len(data.train), config.training)
    if config.data.cache:
        fill_caches(data, progress=progress, say=main)
    require_variety(data.train)
    known = folder.read_tasks() if checkpoint else ()
    data = dataclasses.replace(data, tasks=with_class_weights(data.tasks, data.train, known))
    objective = build_objective(config, data.tasks, network, objects.objective)
    weighting = build_weighting(config, data.tasks, network, objects.weighting)
    augmentation = build_augmentation(config, data.tasks)
    if checkpoint:
        if "optimizer_states" not in stored:
            raise UserError(
                f"{out} has no optimizer to continue with: train a new run from its weights with "
                f"`{command('train', folder.config, '--training.start_from', out)} --out NEW`"
            )
        load_weights(folder, stored, data.tasks, network, objective, weighting)
    if start:
        same = start.read_config().objective == config.objective
        load_weights(start, start.load_checkpoint(), data.tasks, network, objective if same else None)
    if main and (line := decisions(given, config, data.images)):
        print(line, file=sys.stderr)
    config = with_precision(config, folder)
    module = TrainingModule(network, objective, data.tasks, augmentation, config.training, weighting)
    best = BestEpoch(folder, config.training)
    history = History(
        folder,
        lambda module, epoch: folder.write_scores(
            config,
            data.tasks,
            module.scores or {},
            data=data.name,
            root=config.data.root,
            epoch=epoch,
            size=size,
            stopped=best.stopped,
        ),
    )
    loaders = Loaders(config, data, objective)
    last = LastCheckpoint(folder, record(config, data), best.copy)
    average = [] if config.training.ema is None else [EMAWeightAveraging(decay=config.training.ema)]
    callbacks = [best, history, *average, last, *([ExpectedTime()] if progress else [])]
    trainer = make_trainer(config, folder, callbacks, progress, varies=loaders.varies)
    if main and not resume:
        folder.check_new()
    if main and not checkpoint:
        folder.write(config, data.tasks)
        folder.write_images(training_sizes(data, size))
    elif main:
        folder.update(config, changed, int(stored["epoch"]) + 1, stopped_early(stored, config.training))
        for name, (old, new) in changed.items():
            print(f"{out}: goes on with {name} {written(new)} (before: {written(old)})", file=sys.stderr)
    if trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
    if config.training.compile:
        if weighting.retains_graph:
            torch._functorch.config.donated_buffer = False
        network.compile()
    try:
        trainer.fit(module, datamodule=loaders, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:  # Lightning's answer to Ctrl-C
        raise UserError(f"interrupted: {resuming(out)} continues after the last complete epoch") from error
    if trainer.is_global_zero and config.training.sheets:
        shown = dataclasses.replace(data, validation=data.validation.at_image_size().spread(config.training.sheets))
        loader = Loaders(config, shown, objective).validation_loader(0, 1)
        draw_pictures(network, objective, data.tasks, loader, folder.path / "pictures", config.training.sheets)
    return module.scores or folder.read_scores()


def with_code(config: RunConfig, data: RunData) -> RunConfig:
    """The same with the hashes of just those files of one's own that the run uses."""
    names = {"network": config.network, "objective": config.objective, "weighting": config.weighting}
    source = data.train.dataset
    return dataclasses.replace(config, code=code_of(names, config.code, source.tasks.values(), type(source)))


def in_order(tasks: list[Task], folder: RunFolder) -> list[Task]:
    """The tasks in the order in which a run's objective knows them; unchanged where that has others."""
    folder.read_config()  # says so where it is no run
    names = [task.name for task in folder.read_tasks()]
    if sorted(names) != sorted(task.name for task in tasks):
        return tasks
    return sorted(tasks, key=lambda task: names.index(task.name))
