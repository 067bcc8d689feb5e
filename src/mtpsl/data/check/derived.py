"""Labels that follow from others: how many there are, and whether they agree with labels that exist."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mtpsl.tasks import Normals, Task
from mtpsl.tasks.normals import unit_vectors

#: bins of a degree
BINS = 100
#: degrees; normals of another frame than the labels' are mostly off by more, those of noisy depth by less
FAR = 30.0


class DerivedStatistics:
    """Counts what follows from other labels; `add` what each image gives, `merge` two.

    Args:
        task: whose labels follow from others.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.labels = self.pixels = self.valid = self.compared = 0
        self.differences = np.zeros(180 * BINS + 1 if isinstance(task, Normals) else 2, np.int64)

    def add(self, target: Tensor, valid: Bool[Tensor, "h w"]) -> None:
        """Count a label that takes the place of a missing one."""
        self.labels += 1
        self.pixels += valid.numel()
        self.valid += int(valid.sum())

    def compare(self, derived: tuple[Tensor, Bool[Tensor, "h w"]], own: tuple[Tensor, Bool[Tensor, "h w"]]) -> None:
        """Count how one differs from the image's own label of the same size."""
        both = derived[1] & own[1]
        self.compared += 1
        if isinstance(self.task, Normals):
            vectors = [unit_vectors(x[0][None].double())[0][:, both] for x in (derived, own)]
            angles = torch.rad2deg((vectors[0] * vectors[1]).sum(0).clamp(-1, 1).acos())
            numbers = (angles * BINS).long()
        else:
            numbers = (derived[0] != own[0])[..., both].flatten().long()
        self.differences += np.bincount(numbers.numpy(), minlength=len(self.differences))

    def merge(self, other: DerivedStatistics) -> None:
        """Add what another one counted."""
        self.labels += other.labels
        self.pixels += other.pixels
        self.valid += other.valid
        self.compared += other.compared
        self.differences += other.differences

    def notes(self, source: str) -> list[str]:
        """What there is, and what may be wrong with it."""
        name, notes = self.task.name, []
        if self.labels:
            share = 100 * self.valid / max(self.pixels, 1)
            notes.append(f"labels of {self.labels} images follow from their {source} ({share:.1f} % of pixels known)")
        total = int(self.differences.sum())
        if not self.compared or not total:
            return notes
        both = f"{self.compared} images have {name} of their own, from which what follows from {source} differs"
        if not isinstance(self.task, Normals):
            return [*notes, f"{both} in {100 * self.differences[1] / total:.2f} % of pixels"]
        median = (np.searchsorted(self.differences.cumsum(), (total + 1) // 2) + 0.5) / BINS
        cure = f": is `camera` that of these images, and `y_axis` of {name} right?" if median > FAR else ""
        return [*notes, f"{both} by a median of {median:.2f} deg{cure}"]
