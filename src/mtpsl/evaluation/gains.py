"""Which single-task runs a multi-task run is measured against, and what it gains over them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from mtpsl.evaluation.improvement import delta_mtl
from mtpsl.evaluation.run_scores import RunScores
from mtpsl.structures import Score

FULL = "full"
SINGLE_TASK = "stl"
SUPERVISED = "supervised"
HARDLY_LEARNT = 10.0
"""Percent below which a single-task score is no baseline: each point more is over ten percent of gain."""


def is_supervised(run: RunScores) -> bool:
    """Whether it is the supervised baseline: that objective, under its own name (a weighting has a label)."""
    return run.objective == SUPERVISED == run.method


class Gains:
    """ΔMTL of runs of one setting against the single-task runs of the same label regime and seed.

    `notes` collects, in words, what could not be computed or was computed with less than that.

    Args:
        singles: the single-task runs of the setting.
    """

    def __init__(self, singles: Iterable[RunScores]) -> None:
        self.notes: list[str] = []
        self._singles: dict[tuple[str, str], dict[int, Score]] = defaultdict(dict)
        for run in singles:
            for task, score in run.primary_scores().items():
                self._singles[run.regime, task][run.seed] = score

    def delta(self, run: RunScores, regime: str | None = None) -> float | None:
        """ΔMTL in percent against the single-task runs of `regime`, by default the run's own.

        None where single-task runs are missing, NaN where it is not defined.
        """
        regime = regime or run.regime
        if absent := [task for task in run.tasks if not self._singles.get((regime, task))]:
            self.note(f"{regime}: no single-task run (objective stl) of {', '.join(absent)}, so no ΔMTL")
            return None
        scores = run.primary_scores()
        baseline = {task: self._single(regime, task, run.seed) for task in run.tasks}
        gain = delta_mtl(scores, baseline)
        for task, base in baseline.items():
            if base.unit == "%" and base.higher_is_better and 0 < base.value < HARDLY_LEARNT:
                self.note(
                    f"{regime}, seed {run.seed}: the single-task network of {task} scores only {base.value:.1f} %, so "
                    "ΔMTL, which divides by that, says little"
                )
        if math.isnan(gain):
            cause = [task for task in run.tasks if math.isnan(scores[task].value)]
            single = [task for task in run.tasks if math.isnan(baseline[task].value) or not baseline[task].value]
            why = [f"no score of {', '.join(cause)}"] if cause else []
            why += [f"single-task score of {', '.join(single)} absent or zero"] if single else []
            self.note(f"{run.method}, {run.regime}, seed {run.seed}: ΔMTL is not defined ({'; '.join(why)})")
        return gain

    def shares(self, runs: Sequence[RunScores], multitask: Sequence[RunScores]) -> dict[int, float]:
        """By seed, the part of the way from partial to all labels (both supervised) that each run goes, in percent.

        All three are measured against the single-task runs of the partial regime. Seeds without one of them are left
        out; NaN where all labels are no better than some, so that there is no way to go.
        """
        shares = {}
        for run in runs:
            low = self._supervised(run, run.regime, multitask)
            high = self._supervised(run, FULL, multitask)
            gain = self.delta(run)
            if gain is None or low is None or high is None:
                continue
            if high <= low:
                self.note(f"{run.regime}, seed {run.seed}: supervised with all labels is no better, so no headroom")
            shares[run.seed] = 100 * (gain - low) / (high - low) if high > low else math.nan
        return shares

    def headroom(self, regime: str, multitask: Sequence[RunScores]) -> list[tuple[float, float]]:
        """ΔMTL of supervised training with the labels of `regime` and with all of them, for each seed that has both."""
        pairs = []
        for run in multitask:
            if is_supervised(run) and run.regime == regime:
                low, high = self.delta(run), self._supervised(run, FULL, multitask)
                if low is not None and high is not None:
                    pairs.append((low, high))
        return pairs

    def note(self, text: str) -> None:
        """Add a note once."""
        if text not in self.notes:
            self.notes.append(text)

    def _supervised(self, like: RunScores, regime: str, multitask: Sequence[RunScores]) -> float | None:
        for run in multitask:
            if is_supervised(run) and (run.regime, run.seed) == (regime, like.seed):
                return self.delta(run, like.regime)
        return None

    def _single(self, regime: str, task: str, seed: int) -> Score:
        by_seed: Mapping[int, Score] = self._singles[regime, task]
        if seed in by_seed:
            return by_seed[seed]
        seeds = ", ".join(map(str, sorted(by_seed)))
        self.note(f"{regime}, seed {seed}: no single-task run of {task}; the mean of seed {seeds} stands in")
        some = next(iter(by_seed.values()))
        return Score(fmean(score.value for score in by_seed.values()), some.unit, some.higher_is_better)
