"""Weights that even out how fast tasks learn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtpsl.options import check_not_negative, check_positive
from mtpsl.processes import mean_over_processes
from mtpsl.structures import Batch, Losses
from mtpsl.weighting.base import LossWeighting, labelled_tasks
from mtpsl.weighting.parameters import nearest_weight, shared_parameters


class GradNorm(LossWeighting):
    """Weights learned so that tasks which are behind have larger gradients.

    Chen, Badrinarayanan, Lee, Rabinovich: GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
    Multitask Networks, ICML 2018, Eq. 1 and 2 and Algorithm 1. With G_i = |w_i grad_W L_i| at one shared layer W, their
    mean G, and the relative inverse rate r_i = (L_i / L_i(0)) / mean_j (L_j / L_j(0)), the weights minimize
    sum_i |G_i - G r_i^alpha|, the target held constant; then they are scaled to sum to the number of tasks.

    Means are over the tasks with a label in the batch; the weight of another one has no gradient, and L_i(0) is the
    first loss with a label. Weights stay above 0.001: a weight below zero would maximize a loss.

    Args:
        alpha: how strongly rates are evened out (the authors: 1.5 on NYU-v2); 0 asks for equal gradients.
        weight_lr: learning rate of the weights (the authors: 0.025).
        layer: name of the shared parameter W, such as `encoder.4.0.weight`; by default the shared weight that is
            nearest to the losses.
    """

    retains_graph = True
    initial: Float[Tensor, " k"]

    def __init__(
        self, tasks: Sequence[str], *, alpha: float = 1.5, weight_lr: float = 0.025, layer: str | None = None
    ) -> None:
        super().__init__(tasks)
        check_not_negative(alpha=alpha)
        check_positive(weight_lr=weight_lr)
        self.alpha, self.weight_lr = alpha, weight_lr
        self.raw = nn.Parameter(torch.ones(len(tasks)))
        self.register_buffer("initial", torch.zeros(len(tasks)))
        self._found: str | None = layer

    def total(self, losses: Losses, network: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """The weighted sum, whose gradient for the weights themselves is that of Eq. 2."""
        self.normalize()
        values = self.task_losses(losses)
        total = self.weighted(losses, self.raw.detach())
        if not torch.is_grad_enabled() or not values.requires_grad:
            return total
        labelled = labelled_tasks(batch, self.tasks)
        current = mean_over_processes(values.detach().float().clone())
        with torch.no_grad():
            first = labelled & (self.initial == 0) & current.isfinite()  # it stays for good
            self.initial.copy_(torch.where(first, current, self.initial))
        norms = self.norms(losses, network)
        wanted = weight_gradient(self.raw.detach(), norms, current / self.initial, labelled, self.alpha)
        return total + ((self.raw - self.raw.detach()) * wanted).sum()  # adds nothing but this gradient

    @torch.no_grad()
    def normalize(self) -> None:
        """Let the weights be positive and sum to the number of tasks."""
        self.raw.clamp_(min=1e-3).mul_(len(self.raw) / self.raw.sum())

    def norms(self, losses: Losses, network: nn.Module) -> Float[Tensor, " k"]:
        """|grad_W L_i| of every task, over the whole batch of all processes."""
        weight = self.shared_weight(losses, network)
        rows = []
        with torch.autocast(weight.device.type, enabled=False):
            for name in self.tasks:
                loss = losses.tasks[name]
                grad = None
                if loss.requires_grad:
                    grad = torch.autograd.grad(loss, weight, retain_graph=True, allow_unused=True)[0]
                rows.append(torch.zeros_like(weight) if grad is None else grad)
        return mean_over_processes(torch.stack(rows)).flatten(1).float().norm(dim=1)

    def shared_weight(self, losses: Losses, network: nn.Module) -> nn.Parameter:
        """W.

        Raises:
            ValueError: the network has no parameter of that name.
        """
        parameters = dict(network.named_parameters())
        if self._found is None:
            tasks = [*losses.tasks.values()]
            nearest = nearest_weight(shared_parameters(network, tasks), torch.stack(tasks).sum())
            self._found = next(name for name, parameter in parameters.items() if parameter is nearest)
        if self._found not in parameters:
            some = ", ".join([*parameters][:3])
            raise ValueError(f"layer {self._found!r} is not a parameter of the network, which has {some}, ...")
        return parameters[self._found]

    def parameter_groups(self, lr: float) -> list[dict[str, object]]:
        """The weights, with their own learning rate."""
        return [{"params": [self.raw], "lr": self.weight_lr, "weight_decay": 0.0}]


def weight_gradient(
    weights: Float[Tensor, " k"],
    norms: Float[Tensor, " k"],
    ratios: Float[Tensor, " k"],
    labelled: Bool[Tensor, " k"],
    alpha: float,
) -> Float[Tensor, " k"]:
    """The derivative of Eq. 2 for the weights: sign(G_i - G r_i^alpha) |grad_W L_i|; zero for a task without label."""
    count = labelled.sum().clamp(min=1)
    ratios = torch.where(labelled, ratios, 0.0).nan_to_num(nan=0.0, posinf=0.0)
    rates = ratios / (ratios.sum() / count).clamp(min=1e-12)
    scaled = weights * norms
    target = (scaled * labelled).sum() / count * rates**alpha
    return torch.sign(scaled - target) * norms * labelled
