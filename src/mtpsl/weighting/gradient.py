"""Weightings that look at the tasks' gradients: the adapter to TorchJD's formulas."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.errors import UserError
from mtpsl.processes import any_process, copy_from_first_process, is_distributed, mean_over_processes
from mtpsl.structures import Batch, Losses
from mtpsl.weighting.base import Weighting, labelled_tasks
from mtpsl.weighting.parameters import shared_parameters


class GradientWeighting(Weighting):
    """Weighs the gradients that tasks ask of the parameters they share, from these gradients' inner products.

    Everything else gets its plain gradient: a task's head that of its own loss (times its weight with `weighs_heads`),
    an objective's parameters that of the auxiliary losses. Auxiliary losses add their plain gradient to the shared
    parameters. A task without a label in the batch of any process takes no part in the step, nor does one whose
    gradient is zero; where one task is left, it gets weight 1.

    One pass through the shared part per task with a label, one more where there are auxiliary losses, and memory for as
    many gradients. With several processes the gradients are averaged over them here, before they are weighed: run the
    network without DistributedDataParallel's synchronization (`no_sync`).
    """

    retains_graph = True
    #: the published weights are those of a mean: times the number of tasks, equal weights are the plain sum
    averages = True
    #: heads, too, get the gradient of the weighted losses
    weighs_heads = False

    @abstractmethod
    def task_weights(self, gramian: Float[Tensor, "m m"], tasks: Sequence[int]) -> Float[Tensor, " m"]:
        """The published weights from the inner products of at least two gradients; `tasks` says whose they are."""

    def shared_factor(self, weights: Float[Tensor, " m"], gramian: Float[Tensor, "m m"]) -> Float[Tensor, ""]:
        """A factor on the weighed gradient of the shared parameters alone."""
        return weights.new_ones(())

    def add_gradients(
        self, losses: Losses, network: nn.Module, batch: Batch, others: Iterable[nn.Parameter], scale: float
    ) -> None:
        """Add the weighed gradients to `.grad`; with several processes all must call it."""
        labelled = labelled_tasks(batch, self.tasks).tolist()  # which passes there are is control flow
        shared = shared_parameters(network, losses.tasks.values())
        own = own_parameters(network, shared, others)
        passes = [losses.tasks[name] for name, has in zip(self.tasks, labelled, strict=True) if has]
        rest = [loss for name, loss in losses.tasks.items() if not labelled[self.tasks.index(name)]]
        auxiliary = [loss for loss in losses.auxiliary.values() if loss.requires_grad]
        # A task without a label gives its head a gradient of zeros, as without weighting; it skips the shared part.
        plain = [loss for loss in rest if loss.requires_grad] + auxiliary
        device = batch.images.device
        jacobian = torch.zeros(len(passes), sum(p.numel() for p in shared), device=device)
        of_shared, of_own, touched = Gradients(shared), Gradients(own), [False] * len(shared)
        of_heads = []
        with torch.autocast(device.type, enabled=False):
            for row, loss in enumerate(passes):
                found = differentiate(loss, [*shared, *own], retain=bool(plain) or row + 1 < len(passes))
                jacobian[row] = flatten(found[: len(shared)], shared)
                touched = [before or x is not None for before, x in zip(touched, found, strict=False)]
                of_heads.append(found[len(shared) :])
            if plain:
                found = differentiate(torch.stack(plain).sum(), [*own, *shared] if auxiliary else own, retain=False)
                of_own.add(found[: len(own)])
                of_shared.add(found[len(own) :] or [None] * len(shared))
        if losses.auxiliary:
            of_shared.average()
        if passes and shared:
            weights, factor = self._weigh(mean_over_processes(jacobian), [k for k, has in enumerate(labelled) if has])
            some = any_process(torch.tensor(touched, device=device)).tolist() if is_distributed() else touched
            weighed = unflatten(factor * weights @ jacobian, shared)
            of_shared.add([x if used else None for x, used in zip(weighed, some, strict=True)])
            if self.weighs_heads:
                pairs = zip(of_heads, weights, strict=True)
                of_heads = [[None if x is None else weight * x for x in found] for found, weight in pairs]
        for found in of_heads:
            of_own.add(found)
        of_own.average()
        for gradients in (of_shared, of_own):
            gradients.write(scale)

    @torch.no_grad()
    def _weigh(self, jacobian: Float[Tensor, "m p"], tasks: list[int]) -> tuple[Float[Tensor, " m"], Float[Tensor, ""]]:
        """The weights of the rows and the factor on their sum, the same in every process."""
        gramian = (jacobian @ jacobian.T).cpu()  # K x K; the solvers work on the CPU
        weights, factor = torch.ones(len(tasks)), torch.ones(1)
        rows = gramian.diagonal().nonzero()[:, 0]
        if len(rows) > 1 and bool(gramian.isfinite().all()):
            found = self.task_weights(gramian[rows][:, rows], [tasks[row] for row in rows.tolist()])
            weights[rows] = found.to(weights) * (len(rows) if self.averages else 1)
            factor[0] = self.shared_factor(weights, gramian)
        # PCGrad draws an order, solvers may round differently
        *_, factor = both = copy_from_first_process(torch.cat([weights, factor]).to(jacobian))
        weights = both[:-1]
        self.weights = {self.tasks[task]: weight for task, weight in zip(tasks, weights, strict=True)}
        return weights, factor


class Gradients:
    """Sums of gradients, one per parameter; None where nothing reached it."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.sums: list[Tensor | None] = [None] * len(self.parameters)

    def add(self, gradients: Sequence[Tensor | None]) -> None:
        """Add one per parameter."""
        for index, gradient in enumerate(gradients):
            before = self.sums[index]
            if gradient is not None:
                self.sums[index] = gradient if before is None else before + gradient

    def average(self) -> None:
        """Average over processes; None where no process has one."""
        if not is_distributed() or not self.parameters:
            return
        have = self.parameters[0].new_tensor([x is not None for x in self.sums])
        both = mean_over_processes(torch.cat([flatten(self.sums, self.parameters), have]))
        sums = unflatten(both[: -len(have)], self.parameters)
        found = both[-len(have) :].tolist()
        self.sums = [x if some else None for x, some in zip(sums, found, strict=True)]

    @torch.no_grad()
    def write(self, scale: float) -> None:
        """Add them, times a factor, to the parameters' `.grad`."""
        for parameter, gradient in zip(self.parameters, self.sums, strict=True):
            if gradient is None:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)  # in the parameter's memory format
            parameter.grad.add_(gradient, alpha=scale)


def own_parameters(
    network: nn.Module, shared: Sequence[nn.Parameter], others: Iterable[nn.Parameter]
) -> list[nn.Parameter]:
    """The trainable parameters that are not shared, each once."""
    known = set(map(id, shared))
    every = {id(p): p for p in [*network.parameters(), *others] if p.requires_grad and id(p) not in known}
    return list(every.values())


def differentiate(loss: Tensor, parameters: Sequence[nn.Parameter], *, retain: bool) -> list[Tensor | None]:
    """The gradient of a loss for every parameter; None where it does not reach one."""
    if not loss.requires_grad or not parameters:
        return [None] * len(parameters)
    return list(torch.autograd.grad(loss, parameters, retain_graph=retain, allow_unused=True))


def flatten(gradients: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]) -> Float[Tensor, " p"]:
    """One vector; zeros where there is no gradient."""
    pairs = zip(gradients, parameters, strict=True)
    return torch.cat([(p.new_zeros(p.numel()) if g is None else g.reshape(-1)) for g, p in pairs])


def unflatten(vector: Float[Tensor, " p"], parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """The parts of a vector in the parameters' shapes."""
    parts = vector.split([p.numel() for p in parameters])
    return [part.view(p.shape) for part, p in zip(parts, parameters, strict=True)]


def require_packages(weighting: str, packages: Sequence[str], extra: str) -> None:
    """Refuse a weighting whose solver is not installed.

    Raises:
        UserError: a package is missing.
    """
    if any(find_spec(package) is None for package in packages):
        raise UserError(f"weighting {weighting} needs {' and '.join(packages)}: pip install 'mtpsl[{extra}]'")


def scale_to_trace_1(gramian: Float[Tensor, "m m"]) -> Float[Tensor, "m m"]:
    """The inner products of gradients scaled alike; solvers take gradients below 0.01 for zero."""
    return gramian / gramian.trace()
