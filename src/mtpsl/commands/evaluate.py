"""`mtpsl evaluate`: score a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jsonargparse

from mtpsl.commands.parsing import add_checkpoint, add_trust_option, make_parser, parse
from mtpsl.commands.spinner import loading
from mtpsl.errors import UserError

if TYPE_CHECKING:
    from mtpsl.structures import Score
    from mtpsl.training.score_run import RunEvaluation, ScoringData
    from mtpsl.training.trained import TrainedRun

METRIC_OPTIONS = ("nms", "tolerance", "absent")
"""Options that change how a task is scored."""


def evaluate(arguments: Sequence[str]) -> None:
    """Parse `RUN [options]`, evaluate, print and write scores."""
    values = parse(evaluation_parser(), arguments)

    with loading():
        from mtpsl.device import best_device
        from mtpsl.files import check_writable
        from mtpsl.plugins import trust_from_here
        from mtpsl.training.length import decided
        from mtpsl.training.score_run import (
            draw_scored,
            score_run,
            scoring_data,
            with_metric_options,
            write_evaluation,
            write_scores,
        )
        from mtpsl.training.trained import load_run

    if values.json:
        check_writable(values.json, "--json")
    if values.batch_size is not None and values.batch_size < 1:
        raise UserError(f"--batch_size should be at least 1, not {values.batch_size}")
    if values.sheets < 0:
        raise UserError(f"--sheets should not be negative: {values.sheets}")
    trust_from_here(values.trust_code)
    run = load_run(values.run, values.checkpoint)
    chosen = {name: values[name] for name in METRIC_OPTIONS if values[name] is not None}
    tasks = with_metric_options(run.tasks, chosen)
    data = scoring_data(run, values.data.root, values.split)
    batch_size = values.batch_size or decided(run.config.training.batch_size)
    found = score_run(run, data, tasks, batch_size=batch_size, device=best_device())
    report(run, data, found, chosen)  # first: the disk may be full
    if data.scores_of_the_run and not chosen:
        write_scores(run, data, found)
    if values.json:
        write_evaluation(values.json, run, data, found, chosen)
    if values.sheets:
        print(f"sheets: {draw_scored(run, data, values.sheets, batch_size)}")
    if data.split == data.settings.val_split and (chosen or not data.own):
        kept = "the run's own data" if not data.own else "the run's own metric options"
        print(f"scores.json keeps the scores of {kept} (--json FILE writes these)")


def evaluation_parser() -> jsonargparse.ArgumentParser:
    """The options of `mtpsl evaluate`."""
    parser = make_parser(
        "evaluate",
        "Score a trained network; for the validation split of its own data also rewrites RUN/scores.json. "
        "An evaluation that was interrupted continues when the same command is given again.",
    )
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument(
        "--data.root",
        type=str | None,
        default=None,
        help="other data of the same form to score it on; scores.json keeps the scores of the run's own",
    )
    add_checkpoint(parser)
    parser.add_argument("--split", type=str | None, default=None, help="split to score; by default the run's")
    parser.add_argument("--batch_size", type=int | None, default=None, help="images at a time; by default the run's")
    parser.add_argument(
        "--sheets", type=int, default=0, help="draw so many images, at even distances, into RUN/pictures/sheets"
    )
    parser.add_argument(
        "--json",
        type=Path | None,
        default=None,
        help="also write the scores, of any split and data, and the IoU of every class to this file",
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
    add_trust_option(parser)
    return parser


def report(run: TrainedRun, data: ScoringData, found: RunEvaluation, chosen: Mapping[str, object]) -> None:
    """Print what was scored, where and how, and the scores."""
    how = "".join(f", {name} {value}" for name, value in chosen.items())
    where = "" if data.own else f" of {data.settings.root}"
    title = f"{run.folder.path}, {data.split}{where}, {len(data.dataset)} images, epoch {run.epoch}{how}"
    print_scores(found.scores, title)


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
