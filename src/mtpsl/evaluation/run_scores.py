"""The scores that a finished run left in its folder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtpsl.errors import UserError
from mtpsl.phrases import command, resuming
from mtpsl.structures import Score

SCORES = "scores.json"
CONFIG = "config.yaml"


class UnfinishedRunError(UserError):
    """A run that has no scores of its last epoch yet."""


@dataclass(frozen=True)
class Setting:
    """What two runs must share for their scores to be comparable."""

    data: str
    split: str
    network: str
    image_size: tuple[int, int]
    epochs: int

    def __str__(self) -> str:
        height, width = self.image_size
        epochs = f"{self.epochs} epoch{'s' * (self.epochs > 1)}"
        return f"{self.data} ({self.split}), {self.network}, {height} x {width}, {epochs}"


@dataclass(frozen=True)
class RunScores:
    """What was trained, and how well it does: `scores[task][metric]`; `primary[task]` names the metric that counts.

    `label` is what tables call the method, by default the objective's name.
    """

    path: Path
    setting: Setting
    objective: str
    regime: str
    seed: int
    tasks: tuple[str, ...]
    scores: dict[str, dict[str, Score]]
    primary: dict[str, str]
    commit: str = ""
    label: str = ""

    @property
    def method(self) -> str:
        """The name of the run's row in tables."""
        return self.label or self.objective

    def primary_scores(self) -> dict[str, Score]:
        """One score per task."""
        return {task: self.scores[task][name] for task, name in self.primary.items()}


def read_run_scores(path: Path) -> RunScores:
    """Read the scores of one run folder.

    Raises:
        UnfinishedRunError: the run was not trained to its end, or not evaluated.
        UserError: the folder is not one of a run, or its scores cannot be read.
    """
    if not is_run(path):
        state = f"a folder without {CONFIG}" if path.is_dir() else "not a folder" if path.exists() else "not there"
        raise UserError(f"{path} should be the folder of a run, but is {state}")
    file = path / SCORES
    if not file.is_file():
        raise UnfinishedRunError(
            f"{path} has no {SCORES} yet: train it to the end ({resuming(path)}) or run `{command('evaluate', path)}`"
        )
    content = _Reader(_read_json(file), str(file))
    run = content.inner("run")
    epochs, epoch = run.get("epochs", int), content.get("epoch", int)
    early = run.content.get("stopped_early") is True
    if not run.get("complete", bool) or (epoch < epochs and not early):
        raise UnfinishedRunError(f"{path} stopped at epoch {epoch} of {epochs}: {resuming(path)} goes on")
    size = run.get("image_size", list)
    if len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise UserError(f"{file}: run.image_size should be [height, width], not {size}")
    tasks = run.get("tasks", list)
    if not tasks or not all(isinstance(task, str) for task in tasks):
        raise UserError(f"{file}: run.tasks should be a list of names, not {tasks}")
    objective = run.get("objective", str)
    if objective == "stl" and len(tasks) != 1:
        raise UserError(f"{file}: a single-task run (stl) should have one task, not {', '.join(tasks)}")
    setting = Setting(
        data=run.get("data", str),
        split=content.get("split", str),
        network=run.get("network", str),
        image_size=(size[0], size[1]),
        epochs=epochs,
    )
    scores, primary = {}, {}
    for task in tasks:
        scores[task], primary[task] = _task_scores(content.inner("scores").inner(task))
    commit = run.content.get("commit")
    label = run.get("label", str) if "label" in run.content else ""  # runs of the first version have none
    regime, seed = run.get("regime", str), run.get("seed", int)
    return RunScores(path, setting, objective, regime, seed, tuple(tasks), scores, primary, str(commit or ""), label)


def load_runs(paths: Sequence[Path]) -> tuple[list[RunScores], list[str]]:
    """Read every run of `paths`, each a run folder or a folder that holds some at any depth.

    Returns the runs, and a note on each run that is not finished; a run that is named itself must be.

    Raises:
        UserError: as `read_run_scores`; or a folder holds no run.
    """
    runs: dict[Path, RunScores] = {}
    notes: dict[Path, str] = {}
    for path in paths:
        if is_run(path) or not path.is_dir():
            runs[path.resolve()] = read_run_scores(path)
            continue
        found = list(_run_folders(path))
        if not found:
            raise UserError(f"{path} should be the folder of a run or hold some, but no {CONFIG} is in it or below")
        for folder in found:
            try:
                runs.setdefault(folder.resolve(), read_run_scores(folder))
            except UnfinishedRunError as error:
                notes[folder.resolve()] = f"left out: {error}"
    return list(runs.values()), list(notes.values())


def is_run(path: Path) -> bool:
    """Whether a folder is one of a run."""
    return (path / CONFIG).is_file() or (path / SCORES).is_file()


def _run_folders(root: Path) -> Iterator[Path]:
    for folder, below, _ in os.walk(root):
        below.sort()
        if is_run(Path(folder)):
            below.clear()
            yield Path(folder)


@dataclass(frozen=True)
class _Reader:
    """A JSON object that knows where it stands, for messages."""

    content: dict[str, Any]
    place: str

    def get(self, key: str, kind: type) -> Any:
        value = self.content.get(key)
        if type(value) is not kind:
            found = "absent" if key not in self.content else repr(value)
            raise UserError(f"{self.place}: {key} should be {_KINDS[kind]}, but is {found}")
        return value

    def inner(self, key: str) -> _Reader:
        return _Reader(self.get(key, dict), f"{self.place}: {key}")


_KINDS = {str: "text", int: "a whole number", bool: "true or false", list: "a list", dict: "an object"}


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} should hold an object, not {type(content).__name__}")
    return content


def _task_scores(task: _Reader) -> tuple[dict[str, Score], str]:
    scores, primary = {}, []
    for name in task.content:
        entry = task.inner(name)
        value = entry.content.get("value", "absent")
        if value is not None and type(value) not in (int, float):
            raise UserError(f"{entry.place}: value should be a number or null, but is {value!r}")
        known = value is not None and math.isfinite(value)
        number = float(value) if known else math.nan
        scores[name] = Score(number, entry.get("unit", str), entry.get("higher_is_better", bool))
        if entry.get("primary", bool):
            primary.append(name)
    if len(primary) != 1:
        raise UserError(f"{task.place} should have one primary score, not {len(primary)}")
    return scores, primary[0]
