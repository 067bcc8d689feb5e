"""What an exported network says beside what the network says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtpsl.errors import UserError
from mtpsl.tasks import Task


@dataclass(frozen=True)
class Difference:
    """The worst difference of one task.

    Attributes:
        task: its name.
        worst: the largest absolute difference, in the unit of the values; of classes how many pixels have another one.
        among: the largest absolute value; of classes how many pixels there are.
        unit: of both.
    """

    task: str
    worst: float
    among: float
    unit: str

    @property
    def share(self) -> float:
        """The worst difference as a share of the largest value: what a tolerance is compared with."""
        return self.worst / self.among if self.among > 0 else self.worst

    def __str__(self) -> str:
        if self.unit == "pixels":
            return f"{self.task}: {self.worst:.0f} of {self.among:.0f} pixels in another class"
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.task}: {self.worst:.2g}{unit} (values up to {self.among:.3g}{unit})"


def differences(
    tasks: Sequence[Task],
    pairs: Sequence[tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]],
    *,
    decoded: bool = True,
) -> list[Difference]:
    """The worst difference of every task.

    Args:
        tasks: the tasks.
        pairs: what was found and what the network says, by task.
        decoded: values are those of labels, so that those of a task with classes are classes.
    """
    result = []
    for task in tasks:
        classes = decoded and not task.target_spec.channels
        worst = among = 0.0
        for found, expected in ((a[task.name], b[task.name]) for a, b in pairs):
            if found.shape != expected.shape:
                raise ValueError(f"{task.name}: shape {found.shape} should be {expected.shape}")
            if classes:
                worst, among = worst + float((found != expected).sum()), among + found.size
            else:
                gap = np.abs(found.astype(np.float64) - expected.astype(np.float64))
                worst = max(worst, float(np.nan_to_num(gap, nan=math.inf).max(initial=0)))
                among = max(among, float(np.abs(expected).max(initial=0)))
        unit = "pixels" if classes else str(getattr(task, "unit", "") or "") if decoded else ""
        result.append(Difference(task.name, worst, among, unit))
    return result


def refused(found: Sequence[Difference], tolerance: float, what: str) -> None:
    """Refuse what differs by more than a share.

    Raises:
        UserError: a task does.
    """
    wrong = [one for one in found if not one.share <= tolerance]
    if wrong:
        raise UserError(
            f"{what} says something else than the network: {'; '.join(map(str, wrong))}: more than --tolerance "
            f"{tolerance:g} of it, so nothing was written"
        )
