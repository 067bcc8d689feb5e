"""`mtpsl sweep`: a matrix of runs, as the table of a paper."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtpsl.commands.spinner import loading
from mtpsl.commands.train import take_option
from mtpsl.errors import UserError
from mtpsl.shipped_files import find, headline, shipped

if TYPE_CHECKING:
    from rich.console import Console

    from mtpsl.sweep.drive import Engine
    from mtpsl.sweep.jobs import Job
    from mtpsl.sweep.plan import PlannedRun
    from mtpsl.sweep.table import Table

CLUSTER = {"partition": str, "account": str, "hours": float, "gpus": int, "cpus": int, "memory": float, "kind": str}
"""Options of `--engine submitit` and what they are read as."""


def sweep(arguments: Sequence[str]) -> None:
    """Parse `TABLE [options]`, train what is missing, write and print the table."""
    words = list(arguments)
    if not words or {"-h", "--help"} & set(words):
        print(HELP, end="")
        raise SystemExit(0 if words else 2)
    if words == ["--list"]:
        for path in shipped("tables"):
            print(f"{path.stem:10} {headline(path)}")
        return
    if words[0].startswith("-"):
        raise UserError(f"name a table before {words[0]}: a YAML file or one of {', '.join(_shipped_names())}")
    name = words.pop(0)
    if words == ["--show"]:
        print(find("tables", name).read_text(encoding="utf-8"), end="")
        return
    dry_run = "--dry-run" in words
    words = [word for word in words if word != "--dry-run"]
    options = ("out", "jobs", "only", "seeds", "engine", *CLUSTER)
    own = {option: take_option(words, f"--{option}") for option in options}
    cluster = _cluster_options(own)
    jobs_at_once = None if own["jobs"] is None else _value("jobs", own["jobs"], int, 1)
    seeds = (
        None if own["seeds"] is None else [_value("seeds", word, int) for word in own["seeds"].strip("[] ").split(",")]
    )

    from rich.console import Console

    with loading():
        from mtpsl.sweep.checks_before import check_runs
        from mtpsl.sweep.drive import drive
        from mtpsl.sweep.folders import make_jobs
        from mtpsl.sweep.plan import plan_runs, select_runs
        from mtpsl.sweep.progress import SweepDisplay
        from mtpsl.sweep.result import make_layout, prepare_folder
        from mtpsl.sweep.table import read_table
        from mtpsl.training.from_here import from_here

    table = read_table(name)
    out = Path(own["out"] or f"runs/{table.path.stem}")
    runs = [replace(run, config=from_here(run.config)) for run in plan_runs(table, words, seeds)]
    chosen = {run.name for run in select_runs(runs, own["only"])}
    jobs = make_jobs(runs, out)
    make_layout(table, runs, jobs)  # a wrong source or benchmark shows now
    pending = [job for job in jobs if job.name in chosen and job.state() != "done"]
    if dry_run:
        _list(jobs, pending, out)
        return
    if pending:
        check_runs([run for run in runs if run.name in {job.name for job in pending}])
        prepare_folder(out)
    console = Console(stderr=True)
    failed: dict[str, str] = {}
    engine = _engine(cluster, out, jobs_at_once, pending) if pending else None
    try:
        if engine is not None:
            with _stopped_by_signals(), SweepDisplay(pending, console) as display:
                failed = drive(pending, engine, display)
    finally:
        _show(table, runs, jobs, out)
    if failed:
        _show_failures(failed, len(jobs), console)
        raise SystemExit(1)


def _show_failures(failed: Mapping[str, str], jobs: int, console: Console) -> None:
    """Say which of so many runs failed, and why."""
    console.print(f"{len(failed)} of {jobs} runs failed:", markup=False)
    for run, reason in failed.items():
        console.print(f"  {run}: {reason}", markup=False, highlight=False, soft_wrap=True)
    console.print("The same command trains them again, from where they stopped.")


def _show(table: Table, runs: Sequence[PlannedRun], jobs: Sequence[Job], out: Path) -> None:
    """Print and write the table, as far as it is."""
    from rich.console import Console

    from mtpsl.evaluation.tables import print_table
    from mtpsl.sweep.result import make_comparison, write_tables

    comparison = make_comparison(table, runs, jobs)
    if comparison is None:
        print("no run is done yet, so there is no table")
        return
    console = Console()
    print_table(comparison, console)
    written = write_tables(comparison, out)
    console.print(f"Written: {', '.join(map(str, written))}", soft_wrap=True, highlight=False)


def _cluster_options(own: dict[str, str | None]) -> dict[str, Any] | None:
    """What runs ask a cluster for; None where they are trained on this machine."""
    given = {name: _value(name, text, CLUSTER[name]) for name in CLUSTER if (text := own[name]) is not None}
    if own["engine"] not in (None, "local", "submitit"):
        raise UserError(f"--engine should be local or submitit, not {own['engine']}")
    if own["engine"] == "submitit":
        return given
    if given:
        raise UserError(f"--{next(iter(given))} is for a cluster: add --engine submitit")
    return None


def _engine(cluster: dict[str, Any] | None, out: Path, jobs: int | None, pending: Sequence[Job]) -> Engine:
    if cluster is not None:
        from mtpsl.sweep.cluster import ClusterEngine, ClusterSettings

        return ClusterEngine(out / "submitit", ClusterSettings(**cluster), jobs=jobs or len(pending))
    from mtpsl.sweep.local import LocalEngine, this_machine

    trainings = [job.config["training"] for job in pending]
    processes = max(training["devices"] for training in trainings)
    gpus = any(training["accelerator"] != "cpu" for training in trainings)
    return LocalEngine(this_machine(gpus=gpus), jobs=jobs, processes=processes)


def _list(jobs: Sequence[Job], pending: Sequence[Job], out: Path) -> None:
    """What a sweep would do."""
    todo = {"new": "train", "resume": "continue", "done": "done before"}
    names = {job.name for job in pending}
    for job in jobs:
        state = job.state()
        verb = todo[state] if state == "done" or job.name in names else "left out by --only"
        print(f"{verb:12} {job.name}")
    count = sum(job.state() == "done" for job in jobs)
    print(f"{len(jobs)} runs in {out / 'runs'}: {count} done, {len(pending)} to train")


def _value(option: str, text: str, kind: type, least: int = 0) -> Any:
    """An option's text as text or as a number that is not too small."""
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or (kind is not str and not value >= least):
        what = "whole number" if kind is int else "number"
        raise UserError(f"--{option} should be a {what} of at least {least}, not {text!r}")
    return value


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """End as with Ctrl-C when asked to terminate, or when the terminal closes (unless started with nohup)."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _shipped_names() -> list[str]:
    return [path.stem for path in shipped("tables")]


HELP = """\
usage: mtpsl sweep TABLE [--out DIR] [--jobs N] [--seeds 0,1,2] [--only PATTERN] [--dry-run] [options]

Train a matrix of runs (methods x label regimes x seeds) and show it as the table of a paper, with mean and deviation
over seeds, ΔMTL, and the published numbers beside where there are some. Runs that are done are skipped, runs that were
cut off continue, a run that fails does not stop the others: give the same command again at any time.

  TABLE           a YAML file (docs/sweep.md), or the name of one that ships with the package (`mtpsl sweep --list`)
  --out DIR       for runs (DIR/runs/<labels>/<method>/<seed>) and table (DIR/table.md, .csv, .tex, .json);
                  by default runs/TABLE
  --jobs N        runs at once; by default one per GPU, or one per core as far as memory goes
  --seeds LIST    instead of the table's, such as 0,1,2
  --only PATTERN  train only runs whose name begins so, such as one/cross_task or */stl/0
  --dry-run       list the runs and what would be done
  options         as those of `mtpsl train`, for all runs: --data.root DIR, --training.epochs 2, --network.width 0.25;
                  an option of an objective, network or weighting reaches the methods that have it

  mtpsl sweep demo                                         five small runs, half a minute of processor time
  mtpsl sweep tab11 --data.root NYU --dry-run              what Tab. 11 of the paper takes
  mtpsl sweep tab11 --data.root NYU --only one --seeds 0,1,2
  mtpsl sweep tab09 --show > mine.yaml                     a table to start your own from
  mtpsl sweep mine.yaml --data.root DATA --training.epochs 20 --jobs 2

On a Slurm cluster every run is a job (pip install 'mtpsl[cluster]'):

  mtpsl sweep tab11 --data.root NYU --out /shared/tab11 --engine submitit --partition gpu --hours 12 --memory 32

  --engine submitit, and per run: --partition NAME, --account NAME, --hours H (24; a run that takes longer goes on in a
  new job), --gpus N (1), --cpus N (4), --memory GIB; --kind local tries it out without a cluster
"""
