"""The curves of runs, as the page's script draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from mtpsl.visualization.report.content import RunContent
from mtpsl.visualization.report.numbers import metric_name

Column = Sequence[float | None]
LOSS, SCORE = "loss", "val/"


def charts_of(runs: Sequence[RunContent]) -> list[dict[str, Any]]:
    """A chart of the losses, and one per task of its scores; each offers groups of lines to choose from.

    A group is `name`, `unit` and `lines`; a line has a `name`, `epoch`, `minutes` since the start and values `y`.
    One run's losses are lines of one group, since their sizes can be compared; several runs' have a group per loss.
    """
    charts: list[dict[str, Any]] = []
    columns = list(dict.fromkeys(name for run in runs for name in run.history))
    losses = [name for name in columns if name == LOSS or name.startswith(f"{LOSS}/")]
    if len(runs) == 1:
        groups = [group("training losses", "", [(spelled(name), runs[0].history, name) for name in losses])]
    else:
        groups = [group(spelled(name), "", of_runs(runs, name)) for name in losses]
    weights = [name for name in columns if name.startswith("weight/")]
    if len(runs) == 1 and weights:
        groups.append(group("weights of tasks", "", [(x.removeprefix("weight/"), runs[0].history, x) for x in weights]))
    groups.append(group("learning rate", "", of_runs(runs, "lr")))
    charts.append({"title": "Training", "groups": groups})
    lines = {(line.task, line.metric): line for run in runs for line in run.scores}
    for task in dict.fromkeys(task for task, _ in lines):
        of_task = sorted((line for line in lines.values() if line.task == task), key=lambda line: not line.primary)
        groups = []
        for line in of_task:
            title = f"{metric_name(line.metric)} ({'higher' if line.higher_is_better else 'lower'} is better)"
            groups.append(group(title, line.unit, of_runs(runs, f"{SCORE}{task}/{line.metric}")))
        charts.append({"title": f"{task}: validation", "groups": groups})
    charts = [{**chart, "groups": [one for one in chart["groups"] if one["lines"]]} for chart in charts]
    return [chart for chart in charts if chart["groups"]]


def of_runs(runs: Sequence[RunContent], column: str) -> list[tuple[str, Mapping[str, Column], str]]:
    """One column of every run."""
    return [(run.name if len(runs) > 1 else spelled(column), run.history, column) for run in runs]


def group(name: str, unit: str, lines: Sequence[tuple[str, Mapping[str, Column], str]]) -> dict[str, Any]:
    """Lines that share an axis; without those that have no value."""
    drawn = [line(title, history, column) for title, history, column in lines if column in history]
    return {"name": name, "unit": "°" if unit == "deg" else unit, "lines": [one for one in drawn if one["y"]]}


def line(name: str, history: Mapping[str, Column], column: str) -> dict[str, Any]:
    """The epochs at which a column has a value, the minutes until then, and the values."""
    seconds = accumulate(x or 0.0 for x in history.get("seconds", [0.0] * len(history[column])))
    rows = zip(history["epoch"], seconds, history[column], strict=True)
    kept = [(epoch, passed / 60, value) for epoch, passed, value in rows if value is not None]
    return {
        "name": name,
        "epoch": [epoch for epoch, _, _ in kept],
        "minutes": [round(minutes, 4) for _, minutes, _ in kept],
        "y": [value for _, _, value in kept],
    }


def spelled(column: str) -> str:
    """The name of a column for people.

    >>> spelled("loss"), spelled("loss/depth"), spelled("lr"), spelled("val/depth/rmse")
    ('all together', 'depth', 'learning rate', 'RMSE')
    """
    if column in (LOSS, "lr"):
        return "all together" if column == LOSS else "learning rate"
    kind, _, rest = column.partition("/")
    return metric_name(rest.partition("/")[2]) if kind == "val" else rest
