"""Impartial multi-task learning, gradients."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torchjd.aggregation import IMTLGWeighting

from mtpsl.weighting.gradient import GradientWeighting, scale_to_trace_1


class IMTLG(GradientWeighting):
    """The combination with the same projection onto every task's gradient.

    Liu, Li, Kuang, Xue, Chen, Yang, Liao, Zhang: Towards Impartial Multi-task Learning, ICLR 2021, section 3.1, in
    TorchJD's form for linearly dependent gradients, times the number of tasks that take part. Weights may be negative.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.solver = IMTLGWeighting()

    def task_weights(self, gramian: Float[Tensor, "m m"], tasks: Sequence[int]) -> Float[Tensor, " m"]:
        """Weights that sum to 1."""
        return self.solver(scale_to_trace_1(gramian))
