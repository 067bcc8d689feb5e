"""What multi-task learning gains over one network per task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

from mtpsl.evaluation.scores import Scores
from mtpsl.structures import Score


def delta_mtl(scores: Mapping[str, Score], baseline: Mapping[str, Score]) -> float:
    """The mean relative improvement over single-task networks, in percent; above zero is better (ΔMTL).

    NaN where it is not defined: a score is NaN, or a single-task score is zero.

    Args:
        scores: one score per task of the multi-task network.
        baseline: the scores of the single-task networks; tasks that `scores` does not have are not looked at.

    Raises:
        ValueError: there is no task, a task has no baseline, or the two scores of a task are not of one kind.

    >>> miou, error = Score(33.0, "%", True), Score(0.6, "m", False)
    >>> single = {"segmentation": Score(30.0, "%", True), "depth": Score(0.5, "m", False)}
    >>> round(delta_mtl({"segmentation": miou, "depth": error}, single), 6)  # +10 % and -20 %
    -5.0

    Source: Li, Liu and Bilen, Learning Multiple Dense Prediction Tasks from Partially Annotated Data, CVPR 2022, Eq. 5.
    """
    if not scores:
        raise ValueError("scores should hold at least one task")
    if absent := [task for task in scores if task not in baseline]:
        raise ValueError(f"baseline should have a score of {', '.join(absent)}, it has {', '.join(baseline) or 'none'}")
    return fmean(_improvement(task, score, baseline[task]) for task, score in scores.items())


def mean_improvement(scores: Scores, first: Scores) -> float:
    """The mean relative improvement of a network over its own earlier scores, in percent; above zero is better.

    The mean over tasks of the mean over each task's scores. Earlier scores that are zero or NaN are left out, since
    nothing is relative to them. NaN where a score is NaN that was not, or where nothing is left.

    Args:
        scores: all scores of all tasks.
        first: the earlier ones.

    >>> one = {"depth": {"abs_err": Score(0.5, "m", False)}, "edges": {"odsf": Score(0.0, "%", True)}}
    >>> two = {"depth": {"abs_err": Score(0.25, "m", False)}, "edges": {"odsf": Score(9.0, "%", True)}}
    >>> mean_improvement(two, one)
    50.0
    """
    means = []
    for task, before in first.items():
        known = [name for name, score in before.items() if score.value and not math.isnan(score.value)]
        if known:
            means.append(fmean(_improvement(task, scores[task][name], before[name]) for name in known))
    return fmean(means) if means else float("nan")


def _improvement(task: str, score: Score, single: Score) -> float:
    if (score.unit, score.higher_is_better) != (single.unit, single.higher_is_better):
        raise ValueError(f"{task}: the two scores should have one unit and direction, not {score} and {single}")
    if single.value == 0:
        return float("nan")
    gain = 100 * (score.value - single.value) / single.value
    return gain if score.higher_is_better else -gain
