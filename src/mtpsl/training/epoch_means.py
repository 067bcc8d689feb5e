"""Means over the images of an epoch, also of one that is continued in its middle."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mtpsl.processes import gather_from_processes, sum_over_processes


class EpochMeans:
    """Sums of what the steps measure, by name, and the number of images that they are of.

    Lightning's own means are not part of its checkpoints.

    >>> means = EpochMeans()
    >>> means.add("loss", torch.tensor(1.0), 3)
    >>> means.add("loss", torch.tensor(5.0), 1)
    >>> means.compute()
    {'loss': tensor(2.)}
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor, count: int) -> None:
        """Count the mean of `count` images; nothing waits for the device."""
        weighed = value.detach().float() * count
        before = self._sums.get(name)
        self._sums[name] = weighed if before is None else before + weighed
        self._counts[name] = self._counts.get(name, 0) + count

    def compute(self) -> dict[str, Tensor]:
        """The means over all processes, each of which has to call it."""
        return {name: total / count for name, (total, count) in self._totals().items()}

    def reset(self) -> None:
        """Begin an epoch."""
        self._sums, self._counts = {}, {}

    def state_dict(self) -> dict[str, dict[str, float]]:
        """Sums and numbers over all processes, each of which has to call it."""
        totals = self._totals()
        return {
            "sums": {name: total.item() for name, (total, _) in totals.items()},
            "counts": {name: int(count) for name, (_, count) in totals.items()},
        }

    def load_state_dict(self, state: Mapping[str, Mapping[str, float]], device: torch.device) -> None:
        """Go on from sums and numbers of all processes: one process takes them."""
        self._sums = {name: torch.tensor(total, device=device) for name, total in state["sums"].items()}
        self._counts = {name: int(count) for name, count in state["counts"].items()}

    def _totals(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Sum and number by name, over all processes, which may have counted different things."""
        names = sorted({name for names in gather_from_processes([*self._sums]) for name in names})
        if not names:
            return {}
        device = next(iter(self._sums.values())).device
        zero = torch.zeros((), device=device)
        sums = torch.stack([self._sums.get(name, zero) for name in names])
        counts = torch.tensor([float(self._counts.get(name, 0)) for name in names], device=device)
        both = sum_over_processes(torch.stack([sums, counts]))
        return {name: (both[0, place], both[1, place]) for place, name in enumerate(names)}
