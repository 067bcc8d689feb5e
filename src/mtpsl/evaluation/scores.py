"""Scores by task and name, apart from what counts them, which takes seconds to import."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mtpsl.structures import Score
from mtpsl.tasks import Task

Scores = dict[str, dict[str, Score]]


def to_json(tasks: Sequence[Task], scores: Scores) -> dict[str, dict[str, dict[str, object]]]:
    """Scores as written to `scores.json`; None for one that is not defined."""
    return {
        task.name: {
            name: {
                "value": finite_or_none(score.value),
                "unit": score.unit,
                "higher_is_better": score.higher_is_better,
                "primary": name == task.primary,
            }
            for name, score in scores[task.name].items()
        }
        for task in tasks
    }


def finite_or_none(value: float) -> float | None:
    """A number as JSON has it, which knows no NaN."""
    return value if math.isfinite(value) else None
