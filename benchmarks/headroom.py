"""Share of the headroom that methods recover, from their run folders: a table, and scores against training time.

    python benchmarks/headroom.py runs/indoor --name derived="derived normals" --plot benchmarks/headroom_indoor.svg

Runs are grouped by their label (`mtpsl train --label`; without one the objective's name); those of the regime `full`
without a label of their own are the ones with all labels. A run's change is the mean over tasks of its primary score's
relative change against the run of `--base` with the same seed, and the share of headroom is that change divided by the
one of all labels, each a mean over the same seeds. Time is what epochs took, for each epoch the least among a method's
seeds, since other work on the machine only adds to it; where nothing else helps, `--minutes` gives what a whole
training takes alone.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import fmean, median

from mtpsl.errors import UserError
from mtpsl.evaluation.improvement import delta_mtl
from mtpsl.evaluation.run_scores import RunScores, load_runs
from mtpsl.structures import Score

ALL = "all labels"
"""What runs with every label are called."""


@dataclass(frozen=True)
class Run:
    """A finished run: its scores, the seconds of its epochs, and the primary scores after those with a validation."""

    scores: RunScores
    seconds: list[float]
    course: dict[int, dict[str, Score]]

    @property
    def method(self) -> str:
        """What it is compared as."""
        unnamed = self.scores.method == self.scores.objective
        return ALL if self.scores.regime == "full" and unnamed else self.scores.method


@dataclass(frozen=True)
class Method:
    """What the runs of a method show.

    Args:
        name: what it is called.
        seeds: those that the base has, too.
        scores: the mean of each task's primary score.
        changes: in percent, by seed.
        share: of the headroom, in percent; None where no run with all labels has a seed of it.
        course: training minutes and mean change in percent after epochs with a validation.
        epoch: seconds of an epoch, minimum and median over all seeds.
    """

    name: str
    seeds: list[int]
    scores: dict[str, Score]
    changes: dict[int, float]
    share: float | None
    course: list[tuple[float, float]]
    epoch: tuple[float, float]

    @property
    def change(self) -> float:
        """The mean over seeds, in percent."""
        return fmean(self.changes.values())


def main() -> None:
    """Read the runs, print the table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, or folders that hold some")
    parser.add_argument("--base", default="supervised", help="label of the runs that others are compared with")
    parser.add_argument("--only", nargs="+", help="labels of the runs to show besides those; by default all")
    parser.add_argument("--name", action="append", default=[], metavar="LABEL=TEXT", help="what a label is called")
    parser.add_argument("--minutes", action="append", default=[], metavar="LABEL=MINUTES", help="what a training takes")
    parser.add_argument("--plot", type=Path, help="the picture to write")
    options = parser.parse_args()
    try:
        found, notes = load_runs(options.runs)
        runs = [read_run(run) for run in found]
        wanted = None if options.only is None else {*options.only, options.base, ALL}
        runs = [run for run in runs if wanted is None or run.method in wanted]
        names, minutes = (dict(text.partition("=")[::2] for text in given) for given in (options.name, options.minutes))
        methods = compare(runs, options.base, names, {name: float(text) for name, text in minutes.items()})
    except (UserError, ValueError) as error:
        parser.error(str(error))
    print("\n".join(notes), end="\n\n" if notes else "")
    print(table(methods))
    if options.plot is not None:
        draw(methods, options.plot)


def read_run(scores: RunScores) -> Run:
    """A run with its metrics.csv.

    Raises:
        UserError: that cannot be read.
    """
    path = scores.path / "metrics.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        course = {}
        for row in rows:
            values = {task: row[f"val/{task}/{name}"] for task, name in scores.primary.items()}
            if all(values.values()):
                kinds = scores.primary_scores()
                course[int(row["epoch"])] = {
                    task: Score(float(x), kinds[task].unit, kinds[task].higher_is_better) for task, x in values.items()
                }
        return Run(scores, [float(row["seconds"]) for row in rows], course)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as the epochs of a run: {error!r}") from error


def compare(
    runs: Sequence[Run], base: str, names: Mapping[str, str] = {}, minutes: Mapping[str, float] = {}
) -> list[Method]:
    """What each method shows: the base first, all labels last, the others by what they gain.

    Args:
        runs: of all methods.
        base: the label that the others are compared with.
        names: what labels are called.
        minutes: by label, what a whole training takes; by default what the epochs took.

    Raises:
        UserError: runs of several data sets or sizes, two of one method and seed, or none of the base.
    """
    settings = {(run.scores.setting.data, run.scores.setting.split, run.scores.setting.image_size) for run in runs}
    if len(settings) > 1:
        raise UserError(f"runs should be of one data set, split and size, not of {sorted(map(str, settings))}")
    known = sorted({run.method for run in runs})
    if unknown := [name for name in [base, *names, *minutes] if name not in known]:
        raise UserError(f"no run is labelled {unknown[0]!r}: there are {', '.join(known)}")
    grouped: dict[str, dict[int, Run]] = {}
    for run in runs:
        other = grouped.setdefault(run.method, {}).setdefault(run.scores.seed, run)
        if other is not run:
            where = f"{other.scores.path} and {run.scores.path}"
            raise UserError(f"{where} are both {run.method} with seed {run.scores.seed}")
    first = {seed: run.scores.primary_scores() for seed, run in grouped[base].items()}
    headroom = changes(grouped.get(ALL, {}), first)
    found = [
        measure(names.get(name, name), group, first, headroom, minutes.get(name))
        for name, group in grouped.items()
        if group.keys() & first.keys()
    ]
    order = {names.get(base, base): 0, ALL: 2}
    return sorted(found, key=lambda one: (order.get(one.name, 1), -one.change))


def measure(
    name: str,
    group: Mapping[int, Run],
    first: Mapping[int, dict[str, Score]],
    headroom: Mapping[int, float],
    minutes: float | None = None,
) -> Method:
    """What the runs of a method show beside the base's scores `first` and the changes with all labels, by seed."""
    changed = changes(group, first)
    both = changed.keys() & headroom.keys()
    share = 100 * fmean(changed[seed] for seed in both) / fmean(headroom[seed] for seed in both) if both else None
    kept = [group[seed] for seed in changed]
    kinds = kept[0].scores.primary_scores()
    scores = {
        task: Score(fmean(run.scores.primary_scores()[task].value for run in kept), kind.unit, kind.higher_is_better)
        for task, kind in kinds.items()
    }
    seconds = [*accumulate(min(epoch) for epoch in zip(*(run.seconds for run in kept), strict=False))]
    minute = 60 if minutes is None else seconds[-1] / minutes
    course = [
        (seconds[epoch - 1] / minute, fmean(delta_mtl(run.course[epoch], first[run.scores.seed]) for run in kept))
        for epoch in sorted(set.intersection(*({*run.course} for run in kept)))
        if epoch <= len(seconds)
    ]
    every = [second for run in kept for second in run.seconds]
    return Method(name, sorted(changed), scores, changed, share, course, (min(every), median(every)))


def changes(group: Mapping[int, Run], first: Mapping[int, dict[str, Score]]) -> dict[int, float]:
    """The mean relative change against the base in percent, by the seeds that both have."""
    return {
        seed: delta_mtl(run.scores.primary_scores(), first[seed])
        for seed, run in sorted(group.items())
        if seed in first
    }


def table(methods: Sequence[Method]) -> str:
    """All in Markdown."""
    kinds = methods[0].scores
    heads = ["", "seeds", *(f"{task} ({x.unit}) {'↑' if x.higher_is_better else '↓'}" for task, x in kinds.items())]
    heads += ["change", "of each seed", "share of headroom", "epoch (s): minimum, median", "minutes"]
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'--:|' * (len(heads) - 2)}"]
    for one in methods:
        cells = [one.name, ", ".join(map(str, one.seeds)), *(f"{score.value:.3g}" for score in one.scores.values())]
        if one is methods[0]:
            cells += ["", "", ""]
        else:
            cells += [f"{one.change:+.1f} %", ", ".join(f"{x:+.1f}" for x in one.changes.values())]
            cells += ["" if one.share is None else f"{round(one.share)} %"]
        cells += [f"{one.epoch[0]:.1f}, {one.epoch[1]:.1f}", f"{one.course[-1][0]:.1f}" if one.course else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(methods: Sequence[Method], path: Path) -> None:
    """Change against training time: a line for each method that ends in a named point, all labels dashed."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "mtpsl"})
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    axes = figure.subplots()
    shown = [one for one in methods if one.name != ALL and one.course]
    top = next((one.change for one in methods if one.name == ALL), None)
    ends = [0.0, *(one.change for one in shown), *([] if top is None else [top])]
    room = max(ends) - min(ends)
    low, high = min(ends) - 0.2 * room, max(ends) + 0.12 * room
    axes.set_ylim(low, high)
    longest = max(one.course[-1][0] for one in shown)
    axes.set_xlim(0, 1.06 * longest)
    axes.axhline(0, color="0.85", linewidth=1, zorder=0)
    if top is not None:
        axes.axhline(top, color="0.35", linestyle="--", linewidth=1.2)
        words = f"{ALL}: {top:+.1f} %"
        axes.annotate(words, (0.01 * longest, top), (0, 5), textcoords="offset points", color="0.35")
    heights = spread([one.change for one in shown], 0.09 * (high - low))
    for number, (one, height) in enumerate(zip(shown, heights, strict=True)):
        color = "0.35" if one is methods[0] else f"C{number - 1}"
        minutes, gains = zip(*one.course, strict=True)
        axes.plot(minutes, gains, color=color, linewidth=1.2, alpha=0.4)
        for change in one.changes.values():
            axes.plot(minutes[-1], change, "o", color=color, markersize=4, alpha=0.6)
        axes.plot(minutes[-1], one.change, "o", color=color, markersize=9)
        end = 1.08 * longest
        axes.plot([minutes[-1], end], [one.change, height], color=color, linewidth=0.8, alpha=0.6, clip_on=False)
        axes.text(1.09 * longest, height, caption(one, methods[0]), va="center", color=color)
    axes.set_xlabel("minutes of training")
    axes.set_ylabel(f"mean relative change of scores\nagainst {methods[0].name} (%)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def caption(one: Method, base: Method) -> str:
    """What stands beside a method's point."""
    if one is base:
        return one.name
    share = f": {one.share:.0f} % of the headroom" if one.share is not None and one.share > 0.5 else ""
    return f"{one.name}\n{one.change:+.1f} %{share}"


def spread(values: Sequence[float], least: float) -> list[float]:
    """The values, moved upwards where two are nearer than `least`.

    >>> spread([2.0, 0.0, 0.5], 1.0)
    [2.0, 0.0, 1.0]
    """
    places, taken = {}, float("-inf")
    for index in sorted(range(len(values)), key=values.__getitem__):
        places[index] = taken = max(values[index], taken + least)
    return [places[index] for index in range(len(values))]


if __name__ == "__main__":
    main()
