"""Independent component alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torchjd.aggregation import AlignedMTLWeighting

from mtpsl.weighting.gradient import GradientWeighting, scale_to_trace_1


class AlignedMTL(GradientWeighting):
    """The mean of the tasks' gradients after their principal components are made equally long.

    Senushkin, Patakin, Kuznetsov, Konushin: Independent Component Alignment for Multi-Task Learning, CVPR 2023,
    Algorithm 1. The weights are those of TorchJD times the number of tasks that take part.

    Args:
        scale_mode: the length: of the `min`imal (as published), `median` or mean (`rmse`) component.
    """

    def __init__(self, tasks: Sequence[str], *, scale_mode: Literal["min", "median", "rmse"] = "min") -> None:
        super().__init__(tasks)
        if scale_mode not in ("min", "median", "rmse"):
            raise ValueError(f"scale_mode should be 'min', 'median' or 'rmse', not {scale_mode!r}")
        self.solver = AlignedMTLWeighting(scale_mode=scale_mode)

    def task_weights(self, gramian: Float[Tensor, "m m"], tasks: Sequence[int]) -> Float[Tensor, " m"]:
        """Weights of a mean."""
        return self.solver(scale_to_trace_1(gramian))
