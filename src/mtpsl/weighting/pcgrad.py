"""Gradient surgery."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torchjd.aggregation import PCGradWeighting

from mtpsl.weighting.gradient import GradientWeighting


class PCGrad(GradientWeighting):
    """The sum of the tasks' gradients, each without what points against another one.

    Yu, Kumar, Gupta, Levine, Hausman, Finn: Gradient Surgery for Multi-Task Learning, NeurIPS 2020, Algorithm 1,
    through TorchJD. The others are projected out in a random order.
    """

    averages = False

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.solver = PCGradWeighting()

    def task_weights(self, gramian: Float[Tensor, "m m"], tasks: Sequence[int]) -> Float[Tensor, " m"]:
        """Weights of a sum: 1 each where no two gradients conflict."""
        return self.solver(gramian)
