"""Weights from how fast losses fall."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.options import check_positive
from mtpsl.processes import sum_over_processes
from mtpsl.structures import Batch, Losses
from mtpsl.weighting.base import LossWeighting, labelled_tasks


class DWA(LossWeighting):
    """Dynamic weight average: K softmax(r / T), r the ratio of a task's losses in the last two epochs.

    Liu, Johns, Davison: End-to-End Multi-Task Learning with Attention, CVPR 2019, Eq. 7. A loss is averaged over the
    epoch's batches that have a label of its task. A task with fewer than two such epochs has r = 1; all weights are 1
    in the first two epochs, as published.

    Args:
        temperature: T; the larger, the more even the weights (the authors: 2).
    """

    per_process = ("_counted",)
    averages: Float[Tensor, "2 k"]

    def __init__(self, tasks: Sequence[str], *, temperature: float = 2.0) -> None:
        super().__init__(tasks)
        check_positive(temperature=temperature)
        self.temperature = temperature
        self.register_buffer("averages", torch.full((2, len(tasks)), torch.nan))  # the epoch before the last, the last
        # Not a buffer: what processes count differs, and DistributedDataParallel copies the first one's buffers to all.
        self._counted: Float[Tensor, "2 k"] | None = None

    def current_weights(self) -> Float[Tensor, " k"]:
        """The weights of this epoch."""
        before, last = self.averages
        ratio = (last / before).nan_to_num(nan=1.0, posinf=1.0)
        return len(self.tasks) * torch.softmax(ratio / self.temperature, 0)

    def total(self, losses: Losses, network: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """The weighted sum; the losses are counted."""
        if self.training:
            labelled = labelled_tasks(batch, self.tasks)
            counts = torch.stack([self.task_losses(losses).detach() * labelled, labelled.float()])
            self._counted = counts if self._counted is None else self._counted + counts
        return self.weighted(losses, self.current_weights())

    @torch.no_grad()
    def end_epoch(self) -> None:
        """Average what was counted; a task that was never labelled keeps its averages."""
        sums = torch.zeros_like(self.averages) if self._counted is None else self._counted
        counted = sum_over_processes(sums)
        average = counted[0] / counted[1]
        self.averages.copy_(torch.where(average.isnan(), self.averages, torch.stack([self.averages[1], average])))
        self._counted = None
