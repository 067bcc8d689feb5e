"""Multiple-gradient descent."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torchjd.aggregation import MGDAWeighting

from mtpsl.weighting.gradient import GradientWeighting, of_trace_1


class MGDA(GradientWeighting):
    """The shortest convex combination of the tasks' gradients, which no task is worse off for.

    Désidéri: Multiple-gradient descent algorithm (MGDA) for multiobjective optimization, Comptes Rendus Mathématique
    2012; Sener, Koltun: Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018, Algorithm 2. The weights are
    those of TorchJD times the number of tasks that take part.

    Args:
        tasks: the tasks' names.
        epsilon: stop the solver when a step is smaller than this.
        max_iters: stop the solver after so many steps.
    """

    def __init__(self, tasks: Sequence[str], *, epsilon: float = 0.001, max_iters: int = 100) -> None:
        super().__init__(tasks)
        self.solver = MGDAWeighting(epsilon=epsilon, max_iters=max_iters)

    def task_weights(self, gramian: Float[Tensor, "m m"], tasks: Sequence[int]) -> Float[Tensor, " m"]:
        """Weights that sum to 1."""
        return self.solver(of_trace_1(gramian))
