"""Size of the gradients that a second loss sends into predictions, made that of the supervised loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.processes import sum_over_processes


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

    per_process = ("_counted",)
    supervised: Float[Tensor, "2 k"]
    other: Float[Tensor, "2 k"]

    def __init__(self, tasks: Sequence[str], *, decay: float = 0.98) -> None:
        super().__init__()
        self.tasks, self.decay = list(tasks), decay
        for name in ("supervised", "other"):
            self.register_buffer(name, torch.zeros(2, len(tasks)))  # sum of squared norms, number of images
        # Not a buffer: what processes count differs, and DistributedDataParallel copies the first one's buffers to all.
        self._counted: Float[Tensor, "2 2 k"] | None = None

    def watch(self, predictions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Predictions for the supervised loss: their gradients are measured. Every process has to call it."""
        self.collect()
        counted = self._counting()[0]
        return {
            name: Watch.apply(predictions[name], counted[:, index], 1.0, None) for index, name in enumerate(self.tasks)
        }

    def scale(self, predictions: Mapping[str, Tensor], weight: float) -> dict[str, Tensor]:
        """Predictions for the other loss, which carries `weight`: their gradients are measured and scaled."""
        counted, factors = self._counting()[1], self.factors()
        return {
            name: Watch.apply(predictions[name], counted[:, index], weight, factors[index])
            for index, name in enumerate(self.tasks)
        }

    @torch.no_grad()
    def collect(self) -> None:
        """Add to the sums what the last step's gradients counted in all processes, each of which has to call it."""
        counted, self._counted = sum_over_processes(self._counting()), None
        for sums, some in zip((self.supervised, self.other), counted, strict=True):
            sums.mul_(self.decay).add_(some)

    def _counting(self) -> Float[Tensor, "2 2 k"]:
        if self._counted is None:
            self._counted = torch.zeros_like(torch.stack([self.supervised, self.other]))
        return self._counted

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
        squares = torch.where(squares.isfinite(), squares, 0.0)  # one that is not would stay in the sums for good
        if ctx.weight:
            ctx.sums.add_(torch.stack([squares.sum() / ctx.weight**2, (squares > 0).sum().float()]))
        return gradient if ctx.factor is None else gradient * ctx.factor, None, None, None
