"""Score a trained run on a split of its own data, or of other data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mtpsl.data.convert.provenance import provenance
from mtpsl.data.loading import make_loader
from mtpsl.data.partial import PartialDataset, scored_dataset
from mtpsl.device import bar
from mtpsl.errors import UserError
from mtpsl.evaluation.evaluate import Evaluator, evaluate
from mtpsl.evaluation.resume import InterruptedEvaluation
from mtpsl.evaluation.scores import Scores, finite_or_none, to_json
from mtpsl.files import remove_remains, write_text
from mtpsl.tasks import Task, describe_task
from mtpsl.training.data import check_same_tasks, open_scored
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.reading import choose_workers
from mtpsl.training.run_data import image_size
from mtpsl.training.trained import TrainedRun
from mtpsl.visualization.sheets import save_sheets


@dataclass(frozen=True)
class ScoringData:
    """The images that a run is scored on.

    Args:
        settings: where they lie; of a run's settings only the root may have changed.
        split: the split.
        dataset: its images with all labels.
        own: whether they are the run's own data, so that scores of its validation split are the run's scores.
    """

    settings: DataSettings
    split: str
    dataset: PartialDataset
    own: bool

    @property
    def scores_of_the_run(self) -> bool:
        """Whether these scores belong into the run's scores.json."""
        return self.own and self.split == self.settings.val_split

    @property
    def sheets(self) -> str:
        """The folder of their sheets below RUN/pictures; that of training for the run's own validation images."""
        if self.scores_of_the_run:
            return "sheets"
        return f"sheets-{self.split}" if self.own else f"sheets-{Path(self.settings.root or '').name}-{self.split}"


def scoring_data(run: TrainedRun, root: str | None = None, split: str | None = None) -> ScoringData:
    """Open the images to score.

    Args:
        run: what is scored.
        root: the folder of the data; by default the run's.
        split: by default the run's validation split.

    Raises:
        UserError: the data is not there, or has labels that mean something else.
    """
    settings = run.config.data
    own = settings.root or run.folder.scored_root()
    if root is not None:
        settings = dataclasses.replace(settings, root=str(Path(root).resolve()))
    split = split or settings.val_split
    source = open_scored(settings, split, [task.name for task in run.tasks])
    check_same_tasks(run.tasks, source.tasks, settings.root)
    dataset = scored_dataset(source, [task.name for task in run.tasks], cache=False)
    same = own is None or settings.root is None or Path(own).resolve() == Path(settings.root).resolve()
    return ScoringData(settings, split, dataset, same)


@dataclass(frozen=True)
class RunEvaluation:
    """What an evaluation gave; `class_scores` by task with classes."""

    tasks: list[Task]
    scores: Scores
    class_scores: dict[str, dict[str, float]]
    size: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        """Scores and the intersection over union of every class as plain values; None for one that is not defined."""
        classes = {
            task: {name: finite_or_none(x) for name, x in ious.items()} for task, ious in self.class_scores.items()
        }
        return {"scores": to_json(self.tasks, self.scores), "class_iou": classes}


def score_run(
    run: TrainedRun, data: ScoringData, tasks: list[Task], *, batch_size: int, device: torch.device
) -> RunEvaluation:
    """Score a run; where an evaluation of the same was interrupted, it goes on.

    Args:
        run: its network is moved to the device.
        data: what to score it on.
        tasks: the run's tasks, perhaps `with_metric_options`.
        batch_size: images at a time.
        device: where to compute.
    """
    remove_remains(run.folder.path)
    dataset, settings = data.dataset, data.settings
    size = image_size(dataset)
    evaluator = Evaluator(tasks)
    written = run.folder.checkpoint_file(run.checkpoint).stat()
    kept = InterruptedEvaluation(
        run.folder.path / "evaluation",
        data.split,
        {
            "checkpoint": (written.st_mtime_ns, written.st_size),
            "data": (settings.name, settings.root, len(dataset), size, settings.score_size),
            "files": [
                provenance(root, settings.name, {"description": settings.description}).fingerprint
                for root in getattr(dataset.dataset, "roots", [])
            ],
            "tasks": [describe_task(task) for task in tasks],
        },
    )
    done = kept.take_up(evaluator, len(dataset))
    rest = dataset.subset(range(done, len(dataset)))
    batches = bar(
        images(rest, tasks, data, batch_size), f"scoring {data.split}" + f", from image {done + 1}" * bool(done)
    )
    scores = evaluate(run.network.to(device), tasks, kept.keeping(batches, evaluator, done), evaluator)
    kept.remove()
    ious = {task.name: task.class_scores(evaluator.metric(task)) for task in tasks}
    return RunEvaluation(tasks, scores, {name: found for name, found in ious.items() if found}, size)


def images(dataset: PartialDataset, tasks: list[Task], data: ScoringData, batch_size: int) -> Any:
    """The loader of some images."""
    specs = {task.name: task.target_spec for task in tasks}
    workers = choose_workers(data.settings.workers, 1)
    return make_loader(dataset, specs, batch_size=batch_size, shuffle=False, workers=workers)


def draw_scored(run: TrainedRun, data: ScoringData, count: int, batch_size: int) -> Path:
    """Draw so many images, at even distances, and return the folder of the sheets."""
    out = run.folder.path / "pictures" / (data.sheets + "-best" * (run.checkpoint == "best"))
    save_sheets(
        run.network,
        run.tasks,
        images(data.dataset.at_image_size().spread(count), run.tasks, data, batch_size),
        out,
        limit=count,
    )
    return out


def write_scores(run: TrainedRun, data: ScoringData, found: RunEvaluation) -> None:
    """Write the scores of the run's own validation images into its folder."""
    run.folder.write_scores(
        run.config,
        found.tasks,
        found.scores,
        data=data.dataset.name,
        root=data.settings.root,
        epoch=run.epoch,
        size=found.size,
        stopped=run.stopped_early,
        which=run.checkpoint,
    )


def write_evaluation(
    file: Path, run: TrainedRun, data: ScoringData, found: RunEvaluation, chosen: Mapping[str, object]
) -> None:
    """Write the scores of any data, and of other metric options than the run's, to a JSON file."""
    head = {
        "run": str(run.folder.path),
        "split": data.split,
        "root": data.settings.root,
        "epoch": run.epoch,
        "checkpoint": run.checkpoint,
    }
    content = {**head, "metric_options": dict(chosen), **found.to_json()}
    write_text(file, json.dumps(content, indent=2, allow_nan=False) + "\n")


def with_metric_options(tasks: list[Task], chosen: Mapping[str, object]) -> list[Task]:
    """The tasks with other options; the same list where there are none.

    Raises:
        UserError: no task has an option, or its value is wrong.
    """
    if not chosen:
        return tasks
    described = [describe_task(task) for task in tasks]
    for name in chosen:
        if not any(name in one for one in described):
            raise UserError(f"--{name}: none of the run's tasks ({', '.join(task.name for task in tasks)}) has it")
    try:
        changed = [remake_task(task, chosen) for task in tasks]
        for task in changed:
            task.metric()  # which checks what only it uses
    except ValueError as error:
        raise UserError(f"{' '.join(f'--{name}' for name in chosen)}: {error}") from error
    return changed


def remake_task(task: Task, chosen: Mapping[str, object]) -> Task:
    """A task with other options where it has them; of one's own, too, whose file need not be there any more."""
    options: dict[str, Any] = {key: chosen.get(key, value) for key, value in task.options().items()}
    return type(task)(task.name, **options)
