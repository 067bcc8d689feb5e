"""Multi-task learning as a bargaining game."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torchjd.aggregation import NashMTL as Bargaining

from mtpsl.options import check_at_least_one, check_not_negative
from mtpsl.weighting.gradient import GradientWeighting, require_packages


class NashMTL(GradientWeighting):
    """The step that the tasks agree on when they bargain for it.

    Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik, Fetaya: Multi-Task Learning as a Bargaining Game, ICML 2022,
    Algorithm 1, through TorchJD. As in its authors' code, the weights multiply the losses, so that heads are scaled,
    too, and only the step of the shared parameters is shortened. Each solution starts from the last one of the same
    tasks' weights. Needs cvxpy and ecos, which is under the GPL.

    Args:
        max_norm: longer steps of the shared parameters are shortened to this length; 0 for none.
        optim_niter: steps of the solver.
    """

    averages = False
    weighs_heads = True
    alpha: Float[Tensor, " k"]

    def __init__(self, tasks: Sequence[str], *, max_norm: float = 1.0, optim_niter: int = 20) -> None:
        super().__init__(tasks)
        check_not_negative(max_norm=max_norm)
        check_at_least_one(optim_niter=optim_niter)
        require_packages("nash_mtl", ["cvxpy", "ecos"], "solvers")
        self.max_norm, self.optim_niter = max_norm, optim_niter
        self.register_buffer("alpha", torch.ones(len(tasks)))
        self._bargaining: dict[int, Bargaining] = {}

    def task_weights(self, gramian: Float[Tensor, "m m"], tasks: Sequence[int]) -> Float[Tensor, " m"]:
        """Weights of a sum."""
        count = len(tasks)
        if count not in self._bargaining:  # it compiles its problem for a number of tasks
            self._bargaining[count] = Bargaining(count, max_norm=0.0, optim_niter=self.optim_niter)
        solver = self._bargaining[count].weighting
        solver.prvs_alpha = self.alpha[tasks].cpu().numpy()
        values, vectors = torch.linalg.eigh(gramian)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how the problem is written, and its solver
            weights = solver(vectors * values.clamp(min=0).sqrt())  # a matrix with these inner products serves
        self.alpha[tasks] = torch.as_tensor(solver.prvs_alpha, dtype=self.alpha.dtype, device=self.alpha.device)
        return weights

    def shared_factor(self, weights: Float[Tensor, " m"], gramian: Float[Tensor, "m m"]) -> Float[Tensor, ""]:
        """What shortens the step to `max_norm`."""
        length = (weights @ gramian @ weights).sqrt()
        return (self.max_norm / length).clamp(max=1.0) if self.max_norm and length > 0 else weights.new_ones(())
