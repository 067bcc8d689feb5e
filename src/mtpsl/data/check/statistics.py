"""Sums over the labels of one task, of which the report of a check is made."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mtpsl.data.check.variety import one_kind
from mtpsl.tasks import ClassMap, Depth, Edges, MultiLabel, Regression, Saliency, Task

#: what training says of labels that are all alike
UNTRAINABLE = "Training on such labels alone is refused"


class Statistics:
    """Counts pixels; `update` with each label, `merge` two, then read `values`."""

    def __init__(self) -> None:
        self.pixels = self.valid = self.empty = 0
        self.counts = np.zeros(0, np.int64)

    def update(self, target: np.ndarray, valid: np.ndarray) -> None:
        """Count one label."""
        self.pixels += valid.size
        self.valid += int(valid.sum())
        self.empty += not valid.any()
        self._count(target[..., valid].ravel())

    def merge(self, other: Statistics) -> None:
        """Add what another one counted."""
        self.pixels += other.pixels
        self.valid += other.valid
        self.empty += other.empty
        longest = max(len(self.counts), len(other.counts))
        self.counts = _padded(self.counts, longest) + _padded(other.counts, longest)

    def values(self, task: Task) -> dict[str, float]:
        """The numbers that describe this type of label."""
        return {}

    def notes(self, task: Task) -> list[str]:
        """What is suspicious."""
        return []

    def _count(self, numbers: np.ndarray) -> None: ...


class ClassStatistics(Statistics):
    """Shares of the classes among valid pixels."""

    def values(self, task: Task) -> dict[str, float]:
        """Class name to share."""
        assert isinstance(task, ClassMap)
        counts = _padded(self.counts, task.num_classes) / max(self.valid, 1)
        return dict(zip(task.class_names, counts.tolist(), strict=True))

    def notes(self, task: Task) -> list[str]:
        """Classes that never occur."""
        if len(present := np.flatnonzero(self.counts)) == 1:
            return [f"{one_kind(task, int(present[0]))} {UNTRAINABLE}"]
        absent = [name for name, share in self.values(task).items() if not share]
        return [f"no pixel of class {', '.join(absent)}"] if absent and self.valid else []

    def _count(self, numbers: np.ndarray) -> None:
        self.counts = _added(self.counts, np.bincount(numbers))


class DepthStatistics(Statistics):
    """Range and median; the median from bins 0.1 % wide, so that memory does not grow with the set."""

    step = 0.001
    smallest = 1e-6

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high, self.zeros = np.inf, -np.inf, 0

    def merge(self, other: Statistics) -> None:
        """Add what another one counted."""
        super().merge(other)
        assert isinstance(other, DepthStatistics)
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.zeros += other.zeros

    def values(self, task: Task) -> dict[str, float]:
        """Smallest, median and largest."""
        if not self.valid:
            return {}
        middle = int(np.searchsorted(self.counts.cumsum(), (self.valid + 1) // 2))
        median = self.smallest * float(np.exp((middle + 0.5) * self.step))
        return {"min": float(self.low), "median": float(np.clip(median, self.low, self.high)), "max": float(self.high)}

    def notes(self, task: Task) -> list[str]:
        """Depth 0 that counts; inverse depth 0 is infinitely far, and means something."""
        assert isinstance(task, Depth)
        if task.inverse or not self.zeros:
            return []
        return [f"depth 0 {task.unit} at {self.zeros} valid pixels: name it in `missing`?"]

    def _count(self, numbers: np.ndarray) -> None:
        if numbers.size:
            self.low, self.high = min(self.low, float(numbers.min())), max(self.high, float(numbers.max()))
            self.zeros += int((numbers == 0).sum())
            bins = np.log(np.clip(numbers, self.smallest, 1e12) / self.smallest) / self.step
            self.counts = _added(self.counts, np.bincount(bins.astype(np.int64)))


class RegressionStatistics(Statistics):
    """Range and mean of all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high, self.total, self.numbers = np.inf, -np.inf, 0.0, 0

    def merge(self, other: Statistics) -> None:
        """Add what another one counted."""
        super().merge(other)
        assert isinstance(other, RegressionStatistics)
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.total, self.numbers = self.total + other.total, self.numbers + other.numbers

    def values(self, task: Task) -> dict[str, float]:
        """Smallest, mean and largest."""
        if not self.numbers:
            return {}
        return {"min": float(self.low), "mean": self.total / self.numbers, "max": float(self.high)}

    def _count(self, numbers: np.ndarray) -> None:
        if numbers.size:
            self.low, self.high = min(self.low, float(numbers.min())), max(self.high, float(numbers.max()))
            self.total, self.numbers = self.total + float(numbers.sum(dtype=np.float64)), self.numbers + numbers.size


class BinaryStatistics(Statistics):
    """The share of pixels of the kind that is looked for among valid ones."""

    kind: ClassVar[str]

    def values(self, task: Task) -> dict[str, float]:
        """Its share."""
        return {self.kind: float(_padded(self.counts, 2)[1] / self.valid)} if self.valid else {}

    def notes(self, task: Task) -> list[str]:
        """None at all, as when 255 marks a boundary and is ignored, or nothing else."""
        present = np.flatnonzero(self.counts)
        return [f"{one_kind(task, int(present[0]))} {UNTRAINABLE}"] if len(present) == 1 else []

    def _count(self, numbers: np.ndarray) -> None:
        self.counts = _added(self.counts, np.bincount(numbers.astype(np.int64)))


class EdgeStatistics(BinaryStatistics):
    """The share of boundaries."""

    kind = "boundary"


class SaliencyStatistics(BinaryStatistics):
    """The share of what is salient."""

    kind = "salient"


class MultiLabelStatistics(Statistics):
    """The share of each class among valid pixels."""

    def update(self, target: np.ndarray, valid: np.ndarray) -> None:
        """Count one label."""
        super().update(target, valid)
        self.counts = _added(self.counts, target[:, valid].sum(1).astype(np.int64))

    def values(self, task: Task) -> dict[str, float]:
        """Class name to share."""
        assert isinstance(task, MultiLabel)
        counts = _padded(self.counts, task.out_channels) / max(self.valid, 1)
        return dict(zip(task.class_names, counts.tolist(), strict=True))

    def notes(self, task: Task) -> list[str]:
        """Classes that never occur, and labels that are all alike."""
        shares = self.values(task)
        if self.valid and len({*shares.values()} & {0.0, 1.0}) == len({*shares.values()}) == 1:
            return [f"{one_kind(task, int(max(shares.values())))} {UNTRAINABLE}"]
        absent = [name for name, share in shares.items() if not share]
        return [f"no pixel of class {', '.join(absent)}"] if absent and self.valid else []


STATISTICS: dict[type[Task], type[Statistics]] = {
    ClassMap: ClassStatistics,
    Depth: DepthStatistics,
    Regression: RegressionStatistics,
    MultiLabel: MultiLabelStatistics,
    Saliency: SaliencyStatistics,
    Edges: EdgeStatistics,
}


def statistics_of(task: Task) -> Statistics:
    """What fits a task: that of the nearest class that it descends from, else pixel counts alone."""
    return next((STATISTICS[kind] for kind in type(task).__mro__ if kind in STATISTICS), Statistics)()


def _padded(counts: np.ndarray, length: int) -> np.ndarray:
    return np.pad(counts, (0, max(length - len(counts), 0)))


def _added(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    longest = max(len(a), len(b))
    return _padded(a, longest) + _padded(b, longest)
