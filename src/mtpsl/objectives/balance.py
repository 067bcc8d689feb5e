"""Size of the gradients that a second loss sends into predictions, made that of the supervised loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class GradientBalance(nn.Module):
    """Scale, per task, what another loss asks of its predictions to the size of what its labels ask.

    Losses of different tasks differ in the size of their gradients (1 - cosine of normals against the cross-entropy
    of segmentation), and so do the gradients that come back through a mapping network; their proportion is an
    accident of the tasks' units. Both sizes are measured where they meet, at the predictions: the root mean square,
    over the images that have such a gradient, of its norm; sums fade by `decay` per step.

    Args:
        tasks: the tasks' names.
        decay: how much of the sums a step leaves.
    """

    supervised: Float[Tensor, "2 k"]
    other: Float[Tensor, "2 k"]

    def __init__(self, tasks: Sequence[str], *, decay: float = 0.98) -> None:
        super().__init__()
        self.tasks, self.decay = list(tasks), decay
        for name in ("supervised", "other"):
            self.register_buffer(name, torch.zeros(2, len(tasks)))  # sum of squared norms, number of images

    def watch(self, predictions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Predictions for the supervised loss: their gradients are measured."""
        self.supervised.mul_(self.decay)
        return {
            name: Watch.apply(predictions[name], self.supervised[:, index], 1.0, None)
            for index, name in enumerate(self.tasks)
        }

    def scale(self, predictions: Mapping[str, Tensor], weight: float) -> dict[str, Tensor]:
        """Predictions for the other loss, which carries `weight`: their gradients are measured and scaled."""
        self.other.mul_(self.decay)
        factors = self.factors()
        return {
            name: Watch.apply(predictions[name], self.other[:, index], weight, factors[index])
            for index, name in enumerate(self.tasks)
        }

    def factors(self) -> Float[Tensor, " k"]:
        """What the other loss' gradients are multiplied by; 1 until both have been seen."""
        squares = self.supervised[0] / self.supervised[1] * self.other[1] / self.other[0]
        return squares.sqrt().nan_to_num(nan=1.0, posinf=1.0)


class Watch(torch.autograd.Function):
    """The identity, whose gradient is added to sums and multiplied."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sums: Tensor, weight: float, factor: Tensor | None) -> Tensor:
        """`x`; the gradient's square is counted without `weight`."""
        ctx.sums, ctx.weight, ctx.factor = sums, weight, factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Count, then scale."""
        gradient = gradients[0]
        squares = gradient.detach().float().flatten(1).square().sum(1)
        if ctx.weight:
            ctx.sums.add_(torch.stack([squares.sum() / ctx.weight**2, (squares > 0).sum().float()]))
        return gradient if ctx.factor is None else gradient * ctx.factor, None, None, None
