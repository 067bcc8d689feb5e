"""Names for runs that nothing but their folders tells apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mtpsl.evaluation.gains import SINGLE_TASK
from mtpsl.evaluation.run_scores import RunScores


def told_apart(runs: Sequence[RunScores]) -> tuple[list[RunScores], list[str]]:
    """The runs, those that share setting, method, label regime, tasks and seed with the folders' names behind theirs.

    Single-task runs keep theirs, since there can be one baseline only. Returns also a note on each name so changed.
    """
    groups: dict[object, list[RunScores]] = defaultdict(list)
    for run in runs:
        if run.objective != SINGLE_TASK:
            groups[run.setting, run.method, run.regime, frozenset(run.tasks)].append(run)
    names: dict[Path, str] = {}
    notes = []
    for group in groups.values():
        if len({run.seed for run in group}) == len(group):
            continue
        folders = folder_names([(run.path.resolve(), run.seed) for run in group])
        names |= {run.path: f"{run.method} ({folder})" for run, folder in zip(group, folders, strict=True)}
        method, regime = group[0].method, group[0].regime
        notes.append(
            f"{len(group)} runs are {method}, {regime}: their folders' names tell them apart (--label names a run)"
        )
    return [replace(run, label=names.get(run.path, run.label)) for run in runs], notes


def folder_names(runs: Sequence[tuple[Path, int]]) -> list[str]:
    """What differs in the paths of runs, without what only tells seeds apart.

    >>> folder_names([(Path("/runs/old/0"), 0), (Path("/runs/new/0"), 0), (Path("/runs/new/1"), 1)])
    ['old', 'new', 'new']
    """
    parts = [list(path.parts) for path, _ in runs]
    while all(parts) and len({part[0] for part in parts}) == 1:
        parts = [part[1:] for part in parts]
    while all(len(part) > 1 for part in parts):
        by_seed = {(seed, part[-1]) for (_, seed), part in zip(runs, parts, strict=True)}
        if len(by_seed) > len({seed for _, seed in runs}):
            break
        parts = [part[:-1] for part in parts]
    return ["/".join(part) or path.name for part, (path, _) in zip(parts, runs, strict=True)]
