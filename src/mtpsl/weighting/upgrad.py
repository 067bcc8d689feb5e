"""Unconflicting projection of gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
import torch
from jaxtyping import Float
from torch import Tensor
from torchjd.aggregation import UPGradWeighting
from torchjd.linalg import DualConeProjector

from mtpsl.weighting.gradient import GradientWeighting, scale_to_trace_1


class UPGrad(GradientWeighting):
    """The mean of the tasks' gradients, each projected onto the directions that conflict with none.

    Quinton, Rey: Jacobian Descent for Multi-Objective Optimization, 2024, Eq. 4. The weights are those of TorchJD times
    the number of tasks that take part; its quadratic programs are solved as non-negative least squares.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.solver = UPGradWeighting(projector=NonNegativeProjector())

    def task_weights(self, gramian: Float[Tensor, "m m"], tasks: Sequence[int]) -> Float[Tensor, " m"]:
        """Weights of a mean: 1/m each where no two gradients conflict."""
        return self.solver(scale_to_trace_1(gramian))


class NonNegativeProjector(DualConeProjector):
    """min v'Gv with v >= u, by SciPy: v = u + z, z >= 0, so that |A z + A u| is minimized with G = A'A.

    TorchJD's own projector needs a solver under the GPL.

    Args:
        regularizer: added to the diagonal of G, as TorchJD does (G's trace being 1).
    """

    def __init__(self, regularizer: float = 1e-4) -> None:
        self.regularizer = regularizer

    def __call__(self, U: Tensor, G: Tensor) -> Tensor:  # noqa: N803
        """The solution for every row of U."""
        regular = G.double().cpu().numpy() + self.regularizer * np.eye(len(G))
        factor = np.linalg.cholesky(regular).T
        rows = [row + scipy.optimize.nnls(factor, -factor @ row)[0] for row in U.double().cpu().numpy()]
        return torch.as_tensor(np.stack(rows), device=G.device, dtype=G.dtype)
