"""Train a run from its configuration, or continue it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from rich.console import Console
from rich.markup import escape
from torch import nn

from mtpsl.data.check.variety import require_variety
from mtpsl.errors import DataError, UserError, refusal
from mtpsl.evaluation.scores import Scores
from mtpsl.objectives.mapping import PairMapping
from mtpsl.phrases import resuming
from mtpsl.structures import Batch
from mtpsl.training.beginning import Beginning
from mtpsl.training.best import BestEpoch, stopped_early
from mtpsl.training.build import build_augmentation, build_network, build_objective, build_weighting
from mtpsl.training.callbacks import History, LastCheckpoint, LogMeans
from mtpsl.training.cameras import require_cameras
from mtpsl.training.class_balance import with_class_weights
from mtpsl.training.config import RunConfig
from mtpsl.training.continued import changed_options, check_same_code, check_same_data, record, written
from mtpsl.training.expected_time import ExpectedTime
from mtpsl.training.failure import StopAtNonFinite
from mtpsl.training.length import decisions, with_length
from mtpsl.training.loaders import Loaders
from mtpsl.training.loggers import LogSheets, close, make_loggers, need_loggers
from mtpsl.training.malloc import keep_freed_memory
from mtpsl.training.middle import MiddleCheckpoint
from mtpsl.training.module import TrainingModule
from mtpsl.training.nodes import check_processes, writes_run
from mtpsl.training.objects import Objects, checked_network
from mtpsl.training.own_code import code_of
from mtpsl.training.pictures import draw_pictures
from mtpsl.training.precision import as_decided, with_precision
from mtpsl.training.reading import with_reading
from mtpsl.training.report import report_after_training
from mtpsl.training.run_data import RunData, image_size, run_data, training_sizes
from mtpsl.training.run_folder import RunFolder
from mtpsl.training.smallest_batch import check_smallest_batch
from mtpsl.training.trainer import make_trainer
from mtpsl.visualization.sheets import draw_sheets


def train(
    config: RunConfig, out: Path, *, resume: bool = False, progress: bool = True, objects: Objects | None = None
) -> Scores:
    """Train to the last epoch and return its scores.

    Everything a user can get wrong is checked before the folder is made.

    Args:
        config: what to train.
        out: the run folder; new, or with `resume` an existing one.
        resume: continue from the last checkpoint, or from the start where there is none.
        progress: show a progress bar.
        objects: what takes the place of what the configuration names.

    Raises:
        UserError: something in the configuration or the data is wrong, or `out` exists already.
    """
    folder, objects = RunFolder(out), objects or Objects()
    need_loggers(config)
    check_processes(config.training)
    main = writes_run(config.training)
    if main and not resume:
        folder.check_new()
    begin = Beginning.find(folder, config, resume=resume)
    if begin.checkpoint:
        config = as_decided(config, folder)
    changed = changed_options(out, config, begin.stored) if begin.checkpoint else {}
    data = run_data(config, objects.datasets)
    config = with_code(config, data)
    if begin.checkpoint:
        check_same_code(out, config.code, begin.stored)
    if main:
        print_notes(data)
    if begin.checkpoint:
        check_same_data(out, data, begin.stored)
    given, config = config.training, with_length(config, data.images)
    torch.manual_seed(config.training.seed)
    data = replace(data, tasks=begin.in_order(data.tasks))
    size = image_size(data.train)
    network: nn.Module
    if objects.network is None:
        network = build_network(config, data.tasks, pretrained=not (begin.checkpoint or begin.other))
    else:
        network = checked_network(objects.network, data.tasks, size)
    check_smallest_batch(network, size, len(data.train), config.training)
    data, reading = with_reading(config, data, folder.path)
    require_variety(data.train)
    known = folder.read_tasks() if begin.checkpoint else ()
    data = replace(data, tasks=with_class_weights(data.tasks, data.train, known))
    objective = build_objective(config, data.tasks, network, objects.objective)
    require_cameras(objective, data.train, config.data.root, say=main)
    weighting = build_weighting(config, data.tasks, network, objects.weighting)
    augmentation = build_augmentation(config, data.tasks)
    begin.load(config, data.tasks, network, objective, weighting)
    config = with_precision(config, folder, network, size)
    module = TrainingModule(network, objective, data.tasks, augmentation, config.training, weighting)
    loaders = Loaders(config, data, objective, begun=begin.batches)
    callbacks = run_callbacks(config, data, folder, size, progress)

    def shown_batches() -> Iterable[Batch]:
        shown = replace(data, validation=data.validation.at_image_size().spread(config.training.sheets))
        return Loaders(config, shown, objective).validation_loader(0, 1)

    if config.training.logger and config.training.sheets:
        limit = config.training.sheets
        callbacks.append(LogSheets(lambda: draw_sheets(network, data.tasks, shown_batches(), limit)))
    trainer = make_trainer(config, folder, callbacks, progress, varies=loaders.varies)
    if main and not resume:
        folder.check_new()
    if main and not begin.checkpoint:
        folder.tidy(None)
        folder.write(config, data.tasks)
    with continued_once_mended(folder):
        if main and not begin.checkpoint:
            folder.write_images(training_sizes(data, size))
        elif main:
            folder.tidy(begin.checkpoint)
            folder.update(config, changed, begin.epoch, stopped_early(begin.stored, config.training))
            for name, (old, new) in changed.items():
                print(f"{out}: goes on with {name} {written(new)} (before: {written(old)})", file=sys.stderr)
        if main:
            print(*filter(None, [reading, decisions(given, config, data.images)]), sep="\n", file=sys.stderr)
            trainer.loggers = make_loggers(config, folder, begin.epoch if begin.checkpoint else 0)
        try:
            fit(trainer, module, loaders, begin)
        finally:
            close(trainer.loggers)
        if trainer.is_global_zero and (count := config.training.sheets):
            draw_pictures(network, objective, data.tasks, shown_batches(), folder.path / "pictures", count)
    if trainer.is_global_zero and config.training.report:
        report_after_training(folder, config, data, network)
    return module.scores or folder.read_scores()


def print_notes(data: RunData) -> None:
    """Say on the error stream what is to be known of the data."""
    for note in data.notes:
        Console(stderr=True).print(f"[yellow]note[/] {escape(note)}", soft_wrap=True, highlight=False)


def run_callbacks(
    config: RunConfig, data: RunData, folder: RunFolder, size: tuple[int, int], progress: bool
) -> list[Callback]:
    """What writes metrics, scores and checkpoints while a run is trained."""

    def write_scores(module: TrainingModule, epoch: int) -> None:
        scores = module.scores or {}
        folder.write_scores(
            config,
            data.tasks,
            scores,
            data=data.name,
            root=config.data.root,
            epoch=epoch,
            size=size,
            stopped=best.stopped,
        )

    best = BestEpoch(folder, config.training)
    average = [] if config.training.ema is None else [EMAWeightAveraging(decay=config.training.ema)]
    last = LastCheckpoint(folder, record(config, data), best.copy)
    expected = [ExpectedTime()] if progress else []
    stop = StopAtNonFinite(folder)
    middle = MiddleCheckpoint(folder, config.training.checkpoint_minutes, stop.require_finite)
    return [LogMeans(), stop, best, History(folder, write_scores), *average, last, middle, *expected]


def fit(trainer: lightning.Trainer, module: TrainingModule, loaders: Loaders, begin: Beginning) -> None:
    """Train to the last epoch.

    Raises:
        UserError: interrupted, or the strategy cannot do it.
    """
    if trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
    if loaders.config.training.compile:
        if module.weighting.retains_graph:
            torch._functorch.config.donated_buffer = False
        torch._dynamo.config.recompile_limit = 64  # a mapping's steps are compiled one by one, for few and more rows
        module.network.compile()
        for part in module.objective.modules():
            if isinstance(part, PairMapping):
                part.compile_steps()
    try:
        trainer.fit(module, datamodule=loaders, ckpt_path=begin.checkpoint, weights_only=True)
    except RuntimeError as error:
        if "not used in producing the loss" not in str(error):  # Lightning's words for what DDP says
            raise
        raise UserError(
            f"training.strategy {loaders.config.training.strategy}: a step has no gradient of some weights, such as "
            "those of a task that no image has a label of: leave it at auto"
        ) from error
    except SystemExit as error:  # Lightning's answer to Ctrl-C
        path = begin.folder.path
        raise UserError(f"interrupted: {resuming(path)} continues where it was saved last") from error


@contextmanager
def continued_once_mended(folder: RunFolder) -> Iterator[None]:
    """Say of a file that a run cannot write, or not read any more, how the run goes on once that is mended.

    Raises:
        UserError: there is one, such as on a full disk.
    """
    try:
        yield
    except (OSError, DataError) as error:
        what = str(error) if isinstance(error, DataError) else refusal(error, folder.path)
        raise UserError(f"{what}; then {resuming(folder.path)} continues where it was saved last") from error


def with_code(config: RunConfig, data: RunData) -> RunConfig:
    """The same with the hashes of just those files of one's own that the run uses."""
    names = {"network": config.network, "objective": config.objective, "weighting": config.weighting}
    source = data.train.dataset
    return replace(config, code=code_of(names, config.code, source.tasks.values(), type(source)))
