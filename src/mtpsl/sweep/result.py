"""The table of a sweep, whole or as far as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtpsl.errors import UserError
from mtpsl.evaluation.compare import Comparison, compare
from mtpsl.evaluation.gains import SINGLE_TASK
from mtpsl.evaluation.paper_layout import Layout, arrange
from mtpsl.evaluation.tables import render
from mtpsl.files import remove_remains, write_text
from mtpsl.sweep.jobs import Job
from mtpsl.sweep.plan import PlannedRun
from mtpsl.sweep.published import published_numbers
from mtpsl.sweep.table import Table

FORMS = {"table.md": "markdown", "table.csv": "csv", "table.tex": "latex", "table.json": "json"}
GAIN = (None, "delta_mtl")
NAMED = 8
"""How many missing runs a note names."""


def make_layout(table: Table, runs: Sequence[PlannedRun], jobs: Sequence[Job]) -> Layout:
    """The table's rows in order, the published numbers that belong to them, and what is missing."""
    try:
        printed = published_numbers(table.sources, table.benchmark)
    except UserError as error:
        raise UserError(f"{table.path}: {error}") from error
    if all(
        run.config.objective != SINGLE_TASK for run in runs
    ):  # then there is no ΔMTL to put beside the published one
        printed = {row: {k: v for k, v in numbers.items() if k != GAIN} for row, numbers in printed.items()}
    published = {}
    for run in runs:
        row = (run.config.data.regime_name, run.config.method)
        key = (run.regime.published or row[0], run.method.published or row[1])
        if key in printed:
            published[row] = printed[key]
    missing = [job.name for job in jobs if job.state() != "done"]
    notes = []
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        notes.append(
            f"INCOMPLETE: {len(jobs) - len(missing)} of {len(jobs)} runs are done; missing: "
            f"{', '.join(missing[:NAMED])}{more}"
        )
    rows = tuple(dict.fromkeys((run.config.data.regime_name, run.config.method) for run in runs))
    return Layout(f"{table.title}{' (incomplete)' if missing else ''}", rows, published, tuple(notes))


def make_comparison(table: Table, runs: Sequence[PlannedRun], jobs: Sequence[Job]) -> Comparison | None:
    """The runs that are done, as the table has them; None where none is."""
    layout = make_layout(table, runs, jobs)
    done = [job.folder for job in jobs if job.state() == "done"]
    return arrange(compare(done, networks_together=True), layout) if done else None


def write_tables(comparison: Comparison, out: Path) -> list[Path]:
    """Write the table in every form, and remove what killed processes left half-written in the sweep's folder."""
    remove_remains(out)
    for name, form in FORMS.items():
        write_text(out / name, render(comparison, form))
    return [out / name for name in FORMS]


def prepare_folder(out: Path) -> None:
    """Make the sweep's folder.

    Raises:
        UserError: it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be made: {error.strerror}") from error
