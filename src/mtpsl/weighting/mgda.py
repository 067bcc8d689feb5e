"""Multiple-gradient descent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
import torch
from jaxtyping import Float
from torch import Tensor

from mtpsl.weighting.gradient import GradientWeighting, scale_to_trace_1


class MGDA(GradientWeighting):
    """The shortest convex combination of the tasks' gradients, which no task is worse off for.

    Désidéri: Multiple-gradient descent algorithm (MGDA) for multiobjective optimization, Comptes Rendus Mathématique
    2012; Sener, Koltun: Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018, Eq. 3. The weights are
    multiplied by the number of tasks that take part.

    The minimum is exact. The second paper's Algorithm 2 comes near it in many steps: with its authors' settings (250
    steps, or one below 1e-5), weights of three tasks were up to 0.014 off, and took a hundred times as long.
    """

    def task_weights(self, gramian: Float[Tensor, "m m"], tasks: Sequence[int]) -> Float[Tensor, " m"]:
        """Weights that sum to 1."""
        return shortest_combination(scale_to_trace_1(gramian))


def shortest_combination(gramian: Float[Tensor, "m m"]) -> Float[Tensor, " m"]:
    """The w >= 0 with sum 1 that minimizes w'Gw, by non-negative least squares.

    With G = A'A, the z >= 0 that minimizes |Az|^2 + (1'z - 1)^2 is a multiple of w: of all z = t w with a given w, the
    best t leaves |Aw|^2 / (1 + |Aw|^2), which grows with |Aw|.

    >>> shortest_combination(torch.tensor([[1.0, 0.0], [0.0, 4.0]]))
    tensor([0.8000, 0.2000])
    """
    values, vectors = np.linalg.eigh(gramian.double().cpu().numpy())
    factor = np.sqrt(values.clip(min=0))[:, None] * vectors.T
    multiple, _ = scipy.optimize.nnls(np.vstack([factor, np.ones(len(factor))]), np.append(np.zeros(len(factor)), 1.0))
    return torch.as_tensor(multiple / multiple.sum(), dtype=gramian.dtype, device=gramian.device)
