"""A copy of a network whose weights follow it slowly."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class AverageNetwork(nn.Module):
    """An exponential moving average of a network's weights and norm statistics, always in evaluation mode.

    Its weights are buffers: no optimizer trains them, checkpoints hold them. The first update copies the network, and
    update n after it leaves min(decay, n / (n + 9)) of the average, so that early, immature weights are forgotten.
    (`torch.optim.swa_utils.AveragedModel` keeps parameters and a fixed decay, and waits for the device at every step.)

    Args:
        network: what is copied and followed.
        decay: the largest part of the average that an update leaves.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay, self.updates = decay, 0
        self.network = copy.deepcopy(network)
        make_buffers(self.network)
        self.network.eval()
        self._names = [name for name, _ in weights_of(network)]
        self._placed = False

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Follow the network by one step.

        Raises:
            ValueError: it is another one than that which was copied.
        """
        own, theirs = dict(weights_of(self.network)), [x for _, x in weights_of(network)]
        mine = [own[name] for name in self._names]
        if [x.shape for x in mine] != [x.shape for x in theirs]:
            raise ValueError("the network to follow should be the one that the objective was made for")
        if not self._placed:
            self._take_layout(mine, theirs)
        left = min(self.decay, self.updates / (self.updates + 9))
        self.updates += 1
        pairs = [*zip(mine, theirs, strict=True)]
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        if floats:
            torch._foreach_lerp_([one for one, _ in floats], [other.detach() for _, other in floats], 1 - left)
        for one, other in pairs:
            if not one.is_floating_point():
                one.copy_(other)

    def _take_layout(self, mine: list[Tensor], theirs: list[Tensor]) -> None:
        """Lie in memory as the network does, which may have been changed to channels_last after it was copied."""
        for one, other in zip(mine, theirs, strict=True):
            if one.stride() != other.stride():
                one.data = torch.empty_like(other).copy_(one)
        self._placed = True

    def train(self, mode: bool = True) -> AverageNetwork:
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Any:
        """What the average network returns."""
        return self.network(images)

    def get_extra_state(self) -> Tensor:
        """The number of updates, on the CPU, where it is needed."""
        return torch.tensor(self.updates, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Continue with a checkpoint's number."""
        self.updates = int(state)


def weights_of(network: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters, then buffers, by name; one that two layers share twice."""
    return [*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False)]


def make_buffers(network: nn.Module) -> None:
    """Turn all parameters of a network into buffers."""
    for module in network.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                del module._parameters[name]
                module.register_buffer(name, parameter.detach())
