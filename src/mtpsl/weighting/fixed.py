"""Weights that do not change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.options import check_not_negative
from mtpsl.structures import Batch, Losses
from mtpsl.weighting.base import LossWeighting


class Uniform(LossWeighting):
    """The sum of all losses."""

    def total(self, losses: Losses, network: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """The plain sum."""
        return losses.total()


class Fixed(LossWeighting):
    """Losses times given weights.

    They multiply whatever an objective calls a task's loss, and also objectives' own `task_weights`.

    Args:
        weights: weight of each task's loss, 1 where a task is not named.
    """

    fixed: Float[Tensor, " k"]

    def __init__(self, tasks: Sequence[str], *, weights: Mapping[str, float] | None = None) -> None:
        super().__init__(tasks)
        unknown = sorted(set(weights or {}) - set(tasks))
        if unknown:
            raise ValueError(f"weights names {', '.join(unknown)}; the tasks are {', '.join(tasks)}")
        for name, value in (weights or {}).items():
            check_not_negative(**{f"the weight of {name}": value})
        values = [float((weights or {}).get(name, 1.0)) for name in tasks]
        self.register_buffer("fixed", torch.tensor(values), persistent=False)

    def total(self, losses: Losses, network: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """The weighted sum."""
        return self.weighted(losses, self.fixed.to(batch.images.device))
