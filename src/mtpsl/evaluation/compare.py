"""Runs side by side: mean and spread over seeds, ΔMTL against single-task runs, share of the headroom."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev

from mtpsl.errors import UserError
from mtpsl.evaluation.gains import FULL, SINGLE_TASK, SUPERVISED, Gains, is_supervised
from mtpsl.evaluation.naming import told_apart
from mtpsl.evaluation.run_scores import RunScores, Setting, load_runs, read_run_scores

__all__ = ["Block", "Column", "Comparison", "Row", "Summary", "compare", "read_run_scores"]


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation over `count` seeds; the latter is NaN for one seed, both for a NaN score."""

    mean: float
    std: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """The summary of at least one value.

        >>> Summary.of([1.0, 3.0]).mean
        2.0
        """
        if any(math.isnan(value) for value in values):
            return cls(math.nan, math.nan, len(values))
        return cls(fmean(values), stdev(values) if len(values) > 1 else math.nan, len(values))


@dataclass(frozen=True)
class Column:
    """One number of a table; `task` is None for what is computed over all tasks, from their primary scores."""

    task: str | None
    metric: str
    unit: str
    higher_is_better: bool
    primary: bool = True


DELTA_MTL = Column(None, "delta_mtl", "%", higher_is_better=True)
HEADROOM = Column(None, "share_of_headroom", "%", higher_is_better=True)


@dataclass(frozen=True)
class Row:
    """One method with one label regime; a column that does not apply to it has no cell.

    `published` holds the numbers of a paper, as printed there (`layout.arrange`).
    """

    method: str
    regime: str
    seeds: tuple[int, ...]
    cells: dict[Column, Summary]
    published: dict[Column, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """The rows that can be compared: one setting, one set of tasks; `title` stands before both in a heading."""

    setting: Setting
    tasks: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True)
class Comparison:
    """Blocks of comparable rows, what is missing in words, and where the numbers come from."""

    blocks: tuple[Block, ...]
    notes: tuple[str, ...]
    runs: int
    seeds: tuple[int, ...]
    epochs: tuple[int, ...]
    commits: tuple[str, ...]


def compare(paths: Sequence[Path], *, networks_together: bool = False) -> Comparison:
    """Compare runs that differ in method, label regime or seed; what else differs puts them into separate blocks.

    Runs that differ in nothing are told apart by the names of their folders.

    Args:
        paths: run folders, or folders that hold run folders at any depth.
        networks_together: put runs of different networks into one block; their labels tell them apart.

    Raises:
        UserError: a path holds no run, a run is broken, or two single-task runs are the same but for their numbers.
    """
    runs, notes = load_runs(paths)
    if not runs:
        raise UserError(f"no finished run to compare: {'; '.join(notes) or 'no folder was named'}")
    if networks_together:
        runs = _as_one_network(runs)
    runs, named = told_apart(runs)
    _refuse_twins(runs)
    settings = list(dict.fromkeys(run.setting for run in runs))
    blocks = []
    for setting in sorted(settings, key=str):
        same = sorted((run for run in runs if run.setting == setting), key=lambda run: run.seed)
        blocks += [_block(setting, tasks, same) for tasks in _task_sets(same)]
    return Comparison(
        blocks=tuple(blocks),
        notes=(*named, *notes),
        runs=len(runs),
        seeds=tuple(sorted({run.seed for run in runs})),
        epochs=tuple(sorted({run.setting.epochs for run in runs})),
        commits=tuple(sorted({run.commit for run in runs if run.commit})),
    )


def _as_one_network(runs: Sequence[RunScores]) -> list[RunScores]:
    """The same with the names of all networks as that of each."""
    names = ", ".join(sorted({run.setting.network for run in runs}))
    return [replace(run, setting=replace(run.setting, network=names)) for run in runs]


def _refuse_twins(runs: Sequence[RunScores]) -> None:
    seen: dict[object, RunScores] = {}
    objectives: dict[object, RunScores] = {}
    for run in runs:
        single = run.objective == SINGLE_TASK  # the baseline is one, whatever its label
        place = (run.setting, SINGLE_TASK if single else run.method, run.regime, frozenset(run.tasks))
        twin = seen.setdefault((place, run.seed), run)
        if twin is not run:
            raise UserError(
                f"{twin.path} and {run.path} are both {run.method}, {run.regime}, seed {run.seed} on {run.setting}: "
                "name only one of them, or train one with another --label"
            )
        other = objectives.setdefault(place, run)
        if other.objective != run.objective:
            raise UserError(
                f"{other.path} and {run.path} are both labelled {run.method}, but one was trained with "
                f"{other.objective}, the other with {run.objective}: compare them apart"
            )


def _task_sets(runs: Sequence[RunScores]) -> list[tuple[str, ...]]:
    """The task lists of the blocks: those of multi-task runs, then what only single-task runs have."""
    multitask = {frozenset(run.tasks): run.tasks for run in runs if run.objective != SINGLE_TASK}
    sets = sorted(multitask.values(), key=lambda tasks: (-len(tasks), tasks))
    covered = {task for tasks in sets for task in tasks}
    alone = dict.fromkeys(task for run in runs for task in run.tasks if task not in covered)
    return [*sets, tuple(alone)] if alone else sets


def _block(setting: Setting, tasks: tuple[str, ...], runs: Sequence[RunScores]) -> Block:
    singles = [run for run in runs if run.objective == SINGLE_TASK and run.tasks[0] in tasks]
    multitask = [run for run in runs if run.objective != SINGLE_TASK and set(run.tasks) == set(tasks)]
    columns = _columns(tasks, [*multitask, *singles])
    gains = Gains(singles)
    groups: dict[tuple[str, str], list[RunScores]] = defaultdict(list)
    for run in [*singles, *multitask]:
        groups[run.method, run.regime].append(run)
    rows = []
    for (method, regime), group in sorted(groups.items(), key=lambda item: _place(item[1][0])):
        cells = {column: summary for column in columns if (summary := _summary(column, group))}
        if group[0].objective == SINGLE_TASK:
            if multitask and {run.tasks[0] for run in group} == set(tasks):
                cells[DELTA_MTL] = _of_baseline([cell for column, cell in cells.items() if column.primary])
        else:
            deltas = [delta for run in group if (delta := gains.delta(run)) is not None]
            if deltas:
                cells[DELTA_MTL] = Summary.of(deltas)
            shares = gains.shares(group, multitask) if regime != FULL and not is_supervised(group[0]) else {}
            if shares:
                cells[HEADROOM] = Summary.of(list(shares.values()))
        rows.append(Row(method, regime, tuple(sorted({run.seed for run in group})), cells))
    columns += [column for column in (DELTA_MTL, HEADROOM) if any(column in row.cells for row in rows)]
    if any(HEADROOM in row.cells for row in rows):
        for regime in dict.fromkeys(row.regime for row in rows if HEADROOM in row.cells):
            gains.note(_headroom_note(regime, gains.headroom(regime, multitask)))
    notes = (*gains.notes, *_uneven_seeds(rows))
    return Block(setting, tasks, tuple(columns), tuple(rows), notes)


def _columns(tasks: Sequence[str], runs: Sequence[RunScores]) -> list[Column]:
    found: dict[tuple[str, str], tuple[Column, RunScores]] = {}
    for task in tasks:
        for run in runs:
            for name, score in run.scores.get(task, {}).items():
                column = Column(task, name, score.unit, score.higher_is_better, run.primary[task] == name)
                known, first = found.setdefault((task, name), (column, run))
                if known != column:
                    raise UserError(f"{first.path} and {run.path} differ in what {task} {name} is: compare them apart")
    return [column for column, _ in found.values()]


def _summary(column: Column, runs: Iterable[RunScores]) -> Summary | None:
    of_task = [run.scores[column.task] for run in runs if column.task in run.scores]
    values = [scores[column.metric].value for scores in of_task if column.metric in scores]
    return Summary.of(values) if values else None


def _of_baseline(cells: Sequence[Summary]) -> Summary:
    """The ΔMTL of single-task runs: zero by definition, where they have scores."""
    undefined = any(math.isnan(cell.mean) for cell in cells)
    return Summary(math.nan if undefined else 0.0, math.nan, min(cell.count for cell in cells))


def _place(run: RunScores) -> tuple[object, ...]:
    """Where its row stands: partial labels first; baselines, then other methods, then cross_task and its variants."""
    first = [SINGLE_TASK, SUPERVISED, "semi_supervised"]
    rank = first.index(run.objective) if run.objective in first else 4 if run.objective.startswith("cross_task") else 3
    return (run.regime == FULL, run.regime, rank, run.objective, run.method != run.objective, run.method)


def _headroom_note(regime: str, pairs: Sequence[tuple[float, float]]) -> str:
    low, high = (Summary.of(values) for values in zip(*pairs, strict=True))
    return (
        f"headroom of {regime}: supervised goes from ΔMTL {low.mean:+.2f} % with its labels to {high.mean:+.2f} % with "
        f"all, against the single-task runs of {regime} (seeds that have both: {low.count})"
    )


def _uneven_seeds(rows: Sequence[Row]) -> list[str]:
    by_seeds: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for row in rows:
        by_seeds[row.seeds].append(f"{row.method} ({row.regime})")
    if len(by_seeds) < 2:
        return []
    groups = [f"{', '.join(names)} over {', '.join(map(str, seeds))}" for seeds, names in sorted(by_seeds.items())]
    return [f"not the same seeds: {'; '.join(groups)}"]
