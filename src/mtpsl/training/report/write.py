"""Write the report of one run or several."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mtpsl.errors import UserError
from mtpsl.evaluation.cells import cells_of, heading, heads_of
from mtpsl.evaluation.compare import compare
from mtpsl.evaluation.run_scores import RunScores, load_runs, read_run_scores
from mtpsl.evaluation.tables import LEGEND
from mtpsl.files import write_text
from mtpsl.phrases import command
from mtpsl.training.config import RunConfig
from mtpsl.training.report.folder_files import facts, pictures_in, read_environment, read_history, score_lines
from mtpsl.training.report.look import Look, look_at
from mtpsl.training.report.options import nearest, repeating, split_options
from mtpsl.training.report.side_by_side import run_names, together
from mtpsl.training.report.sources import Source, annotation_of, of_folder, of_training
from mtpsl.training.run_data import RunData
from mtpsl.training.run_folder import RunFolder
from mtpsl.visualization.report import Report, RunContent, render
from mtpsl.visualization.report.content import Looked, Table

FILE = "report.html"
"""Its name in a run folder."""
SECONDS_AFTER_TRAINING = 1.0


@dataclass(frozen=True)
class Depth:
    """How closely a report looks.

    Args:
        sheets: validation images that are shown.
        images: validation images that are looked at, at even distances.
        extremes: the worst and the best of them that are shown of every task.
        seconds: look at no more images after so long than those that are shown.
    """

    sheets: int = 6
    images: int = 100
    extremes: int = 2
    seconds: float = math.inf


def write_report(
    paths: Sequence[Path],
    out: Path | None = None,
    *,
    depth: Depth | None = None,
    root: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the report of runs and return the file.

    Args:
        paths: run folders, or folders that hold run folders.
        out: the file; by default `report.html` in the folder of the run, or in the one folder that holds the runs.
        depth: how closely it looks.
        root: where the data lies, if not where it lay.
        overwrite: replace a file that is there.

    Raises:
        UserError: a path holds no run, a run has no scores of its last epoch or is broken, the runs cannot be compared,
            or the file exists.
    """
    depth = depth or Depth()
    if out is None:
        if len(paths) != 1:
            raise UserError(f"--out is missing: name the file for the report of several runs, e.g. --out {FILE}")
        out, overwrite = paths[0] / FILE, True
    runs, notes = load_runs(paths)
    if not runs:
        raise UserError(f"no finished run to report on: {'; '.join(notes) or 'no folder was named'}")
    if out.is_dir():
        raise UserError(f"{out} is a folder: give the name of a file with --out, e.g. --out {out / FILE}")
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists already: choose another --out, or replace it with --overwrite")
    configs = [RunFolder(run.path).read_config() for run in runs]
    tables = comparison(paths) if len(runs) > 1 else []
    names = run_names(runs)
    contents, looks = [], []
    for run, config, name in zip(runs, configs, names, strict=True):
        source = of_folder(run.path, root)
        look = looked(source, depth, extremes=depth.extremes if len(runs) == 1 else min(1, depth.extremes))
        contents.append(content(run, config, name, source, look, depth, alone=len(runs) == 1))
        looks.append(look)
    title = titled(runs[0]) if len(runs) == 1 else f"{len(runs)} runs: {', '.join(names)}"
    sheets = together(names, looks) if len(runs) > 1 else []
    page = render(Report(title, contents, tables, LEGEND, sheets, notes))
    write_text(out, page)
    return out


def report_after_training(folder: RunFolder, config: RunConfig, data: RunData, network: nn.Module) -> None:
    """Write RUN/report.html quickly: of `training.sheets` images, and of more as long as a second is not over.

    Whatever goes wrong with it is said in a line: the training is done, and its files are written.
    """
    try:
        depth = Depth(sheets=config.training.sheets, seconds=SECONDS_AFTER_TRAINING)
        run = read_run_scores(folder.path)
        source = of_training(network, data)
        with torch.compiler.set_stance("force_eager"):  # images come one by one: do not compile for that
            look = looked(source, depth)
        one = content(run, config, run.method, source, look, depth)
        page = render(Report(titled(run), [one]))
        write_text(folder.path / FILE, page)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        print(
            f"note: {folder.path / FILE} was not written ({type(error).__name__}: {reason}); the run is complete: "
            f"`{command('report', folder.path)}` tries again",
            file=sys.stderr,
        )


def titled(run: RunScores) -> str:
    """What a page of one run is called."""
    return f"{run.method}: {', '.join(run.tasks)} of {run.setting.data}"


def looked(source: Source, depth: Depth, extremes: int | None = None) -> Look | None:
    """Look at the validation images, if there are any to look at."""
    if source.network is None or source.validation is None or not depth.sheets:
        return None
    return look_at(
        source.network,
        source.tasks,
        source.validation,
        shown=depth.sheets,
        extremes=depth.extremes if extremes is None else extremes,
        images=depth.images,
        seconds=depth.seconds,
    )


def content(
    run: RunScores,
    config: RunConfig,
    name: str,
    source: Source,
    look: Look | None,
    depth: Depth,
    *,
    alone: bool = True,
) -> RunContent:
    """All that a page shows of a run."""
    history = read_history(run.path)
    basis = nearest(config)
    different, others = split_options(config, basis)
    total = 0 if source.validation is None else len(source.validation)
    return RunContent(
        name,
        facts(run, config, history),
        score_lines(run, history),
        history,
        annotation_of(source, min(4, depth.sheets) if alone else 0),
        Looked() if look is None else look.result(total),
        pictures_in(run.path, 0 if look is not None else depth.sheets),
        basis.name,
        different,
        others,
        read_environment(run.path),
        repeating(config, basis, run.path),
        source.notes,
    )


def comparison(paths: Sequence[Path]) -> list[Table]:
    """What `mtpsl compare` prints, with all scores."""
    found = compare(paths)
    tables = [
        Table(
            heading(block),
            heads_of(block),
            [[(cell.text, cell.best) for cell in row] for row in cells_of(block)],
            block.notes,
        )
        for block in found.blocks
    ]
    last = tables.pop()
    return [*tables, dataclasses.replace(last, notes=[*last.notes, *found.notes])]
