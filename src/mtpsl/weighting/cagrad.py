"""Conflict-averse gradient descent."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torchjd.aggregation import CAGradWeighting

from mtpsl.options import check_not_negative
from mtpsl.weighting.gradient import GradientWeighting, require_packages, scale_to_trace_1


class CAGrad(GradientWeighting):
    """The step near the mean gradient that is best for the task which gains least.

    Liu, Liu, Jin, Stone, Liu: Conflict-Averse Gradient Descent for Multi-task Learning, NeurIPS 2021, Algorithm 1. The
    weights are those of TorchJD times the number of tasks that take part. Needs cvxpy.

    Args:
        c: how far from the mean gradient, relative to its length, the step may be; 0 is the mean.
    """

    def __init__(self, tasks: Sequence[str], *, c: float = 0.5) -> None:
        super().__init__(tasks)
        check_not_negative(c=c)
        require_packages("cagrad", ["cvxpy", "clarabel"], "cagrad")
        self.solver = CAGradWeighting(c)

    def task_weights(self, gramian: Float[Tensor, "m m"], tasks: Sequence[int]) -> Float[Tensor, " m"]:
        """Weights of a mean, plus those of the correction."""
        return self.solver(scale_to_trace_1(gramian))
