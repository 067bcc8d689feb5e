"""`mtpsl evaluate`: score a run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mtpsl.commands.loading import loading
from mtpsl.commands.parsing import make_parser, parse
from mtpsl.errors import UserError

if TYPE_CHECKING:
    from mtpsl.structures import Score
    from mtpsl.tasks import Task


def evaluate(arguments: Sequence[str]) -> None:
    """Parse `RUN [options]`, evaluate, print and write scores."""
    parser = make_parser(
        "evaluate",
        "Score a trained network; for the validation split also rewrites RUN/scores.json. "
        "An evaluation that was interrupted continues when the same command is given again.",
    )
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--data.root", type=str | None, default=None, help="where the data set lies now")
    parser.add_argument("--split", type=str | None, default=None, help="split to score; by default the run's")
    parser.add_argument("--batch_size", type=int | None, default=None, help="images at a time; by default the run's")
    parser.add_argument(
        "--sheets", type=int, default=0, help="draw so many images, at even distances, into RUN/pictures"
    )
    parser.add_argument(
        "--json", type=Path | None, default=None, help="also write the scores, of any split, to this file"
    )
    parser.add_argument(
        "--nms",
        type=bool | None,
        default=None,
        help="edges: before thinning keep only what is largest across the boundary (true), or not (false)",
    )
    parser.add_argument(
        "--tolerance", type=float | None, default=None, help="edges: matching distance as a share of the diagonal"
    )
    parser.add_argument(
        "--absent",
        type=Literal["skip", "zero"] | None,
        default=None,
        help="segmentation, human parts: leave classes that are neither predicted nor labelled out of mIoU, or count 0",
    )
    values = parse(parser, arguments)

    with loading():
        from mtpsl.commands.device import bar, best_device
        from mtpsl.data.loading import make_loader
        from mtpsl.data.partial import PartialDataset
        from mtpsl.data.provenance import provenance
        from mtpsl.evaluation.evaluate import Evaluator, to_json
        from mtpsl.evaluation.evaluate import evaluate as score
        from mtpsl.evaluation.interrupted import InterruptedEvaluation
        from mtpsl.files import check_writable, write_text
        from mtpsl.tasks import describe_task
        from mtpsl.training.assemble import check_image_size
        from mtpsl.training.open_data import check_same_tasks, open_split
        from mtpsl.training.run import load_run
        from mtpsl.visualization.sheets import save_sheets

    if values.json:
        check_writable(values.json, "--json")
    if values.batch_size is not None and values.batch_size < 1:
        raise UserError(f"--batch_size should be at least 1, not {values.batch_size}")
    if values.sheets < 0:
        raise UserError(f"--sheets should not be negative: {values.sheets}")
    run = load_run(values.run)
    chosen = {name: values[name] for name in ("nms", "tolerance", "absent") if values[name] is not None}
    tasks = with_metric_options(run.tasks, chosen)
    settings = run.config.data
    if values.data.root is not None:
        settings = dataclasses.replace(settings, root=values.data.root)
    split = values.split or settings.val_split
    source = open_split(settings, split, [task.name for task in tasks])
    check_same_tasks(run.tasks, source.tasks, settings.root)
    dataset = PartialDataset(source, source.available, cache=False)
    size = check_image_size(run.network, dataset)
    batch_size = values.batch_size or run.config.training.batch_size
    network = run.network.to(best_device())
    evaluator = Evaluator(tasks)
    written = run.folder.checkpoint.stat()
    kept = InterruptedEvaluation(
        run.folder.path / "evaluation",
        split,
        {
            "checkpoint": (written.st_mtime_ns, written.st_size),
            "data": (settings.name, settings.root, len(dataset), size),
            "files": [
                provenance(root, settings.name, {"description": settings.description}).fingerprint
                for root in getattr(source, "roots", [])
            ],
            "tasks": [describe_task(task) for task in tasks],
        },
    )
    done = kept.take_up(evaluator, len(dataset))

    def loader(some: PartialDataset) -> Any:
        return make_loader(
            some,
            {task.name: task.target_spec for task in tasks},
            batch_size=batch_size,
            shuffle=False,
            workers=settings.workers,
        )

    title = f"scoring {split}" + f", from image {done + 1}" * bool(done)
    batches = bar(loader(dataset.subset(range(done, len(dataset)))), title)
    scores = score(network, tasks, kept.keeping(batches, evaluator, done), evaluator)
    if split == settings.val_split and not chosen:
        name = str(getattr(source, "name", settings.name))
        run.folder.write_scores(run.config, tasks, scores, data=name, epoch=run.epoch, size=size)
    if values.json:
        content = {"run": str(values.run), "split": split, "epoch": run.epoch, "metric_options": chosen}
        write_text(
            values.json, json.dumps({**content, "scores": to_json(tasks, scores)}, indent=2, allow_nan=False) + "\n"
        )
    kept.remove()
    if values.sheets:
        save_sheets(
            network, tasks, loader(dataset.spread(values.sheets)), run.folder.path / "pictures", limit=values.sheets
        )
    how = "".join(f", {name} {value}" for name, value in chosen.items())
    print_scores(scores, f"{values.run}, {split}, {len(dataset)} images, epoch {run.epoch}{how}")
    if chosen and split == settings.val_split:
        print("scores.json keeps the scores of the run's own metric options (--json FILE writes these)")


def with_metric_options(tasks: list[Task], chosen: Mapping[str, object]) -> list[Task]:
    """The tasks with other options; the same list where there are none.

    Raises:
        UserError: no task has an option, or its value is wrong.
    """
    from mtpsl.tasks import describe_task, make_task

    if not chosen:
        return tasks
    described = [describe_task(task) for task in tasks]
    for name in chosen:
        if not any(name in one for one in described):
            raise UserError(f"--{name}: none of the run's tasks ({', '.join(task.name for task in tasks)}) has it")
    try:
        changed = [make_task({k: chosen.get(k, value) for k, value in one.items()}) for one in described]
        for task in changed:
            task.metric()  # which checks what only it uses
    except ValueError as error:
        raise UserError(f"{' '.join(f'--{name}' for name in chosen)}: {error}") from error
    return changed


def print_scores(scores: dict[str, dict[str, Score]], title: str) -> None:
    """A table of all scores."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in ("task", "score", "value", "unit", "better"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for task, values in scores.items():
        for name, score in values.items():
            arrow = "↑" if score.higher_is_better else "↓"
            shown: Any = "–" if score.value != score.value else f"{score.value:.4g}"
            table.add_row(task, name, shown, score.unit, arrow)
    Console().print(table)
