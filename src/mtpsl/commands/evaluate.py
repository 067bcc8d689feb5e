"""`mtpsl evaluate`: score a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtpsl.commands.parsing import make_parser, parse

if TYPE_CHECKING:
    from mtpsl.structures import Score


def evaluate(arguments: Sequence[str]) -> None:
    """Parse `RUN [options]`, evaluate, print and write scores."""
    parser = make_parser("evaluate", "Score a trained network; for the validation split also rewrites RUN/scores.json.")
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--data.root", type=str | None, default=None, help="where the data set lies now")
    parser.add_argument("--split", type=str | None, default=None, help="split to score; by default the run's")
    parser.add_argument("--batch_size", type=int | None, default=None, help="images at a time; by default the run's")
    parser.add_argument("--sheets", type=int, default=0, help="draw this many images into RUN/pictures")
    values = parse(parser, arguments)

    from mtpsl.commands.device import bar, best_device
    from mtpsl.data.loading import make_loader
    from mtpsl.data.partial import PartialDataset
    from mtpsl.evaluation.evaluate import evaluate as score
    from mtpsl.training.assemble import check_image_size, open_split
    from mtpsl.training.run import load_run
    from mtpsl.visualization.sheets import save_sheets

    run = load_run(values.run)
    settings = run.config.data
    if values.data.root is not None:
        settings = dataclasses.replace(settings, root=values.data.root)
    split = values.split or settings.val_split
    source = open_split(settings, split, [task.name for task in run.tasks])
    dataset = PartialDataset(source, source.available, cache=False)
    size = check_image_size(run.network, dataset)
    loader = make_loader(
        dataset,
        {task.name: task.target_spec for task in run.tasks},
        batch_size=values.batch_size or run.config.training.batch_size,
        shuffle=False,
        workers=settings.workers,
    )
    network = run.network.to(best_device())
    scores = score(network, run.tasks, bar(loader, f"scoring {split}"))
    if split == settings.val_split:
        name = str(getattr(source, "name", settings.name))
        run.folder.write_scores(run.config, run.tasks, scores, data=name, epoch=run.epoch, size=size)
    if values.sheets:
        save_sheets(network, run.tasks, loader, run.folder.path / "pictures", limit=values.sheets)
    print_scores(scores, f"{values.run}, {split}, {len(dataset)} images, epoch {run.epoch}")


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
