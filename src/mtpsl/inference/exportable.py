"""A network as a plain function of tensors, to be exported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.networks.network import plain
from mtpsl.tasks import Task


class Exportable(nn.Module):
    """Images (b, 3, h, w) from 0 to 1 to a dictionary of tensors: every task decoded, as `Task.decode` says.

    `torch.export` takes it as it is, and gives a program that needs nothing of this package; `torch.jit.trace` gets a
    tuple in place of the dictionary, in the order of the tasks. Images are seen at the size at which they are given:
    give them as those of the training were (`TrainingSizes.whole`).

    >>> import torch
    >>> from mtpsl import Depth, SegNet
    >>> module = Exportable(SegNet({"depth": 1}, width=0.125), [Depth()])
    >>> module(torch.rand(1, 3, 32, 64))["depth"].shape
    torch.Size([1, 1, 32, 64])

    Args:
        network: a run's, or any that returns an `Output`; it is put into evaluation mode.
        tasks: what to give, in this order.
        decode: give labels' values; otherwise raw predictions.
    """

    def __init__(self, network: nn.Module, tasks: Sequence[Task], *, decode: bool = True) -> None:
        super().__init__()
        self.network, self.tasks, self.decode = network, list(tasks), decode
        self.eval()

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Any:
        """Predict every task."""
        predictions = self.network.forward(images).predictions
        found = {task.name: predictions[task.name] for task in self.tasks}
        return plain({task.name: task.decode(found[task.name]) for task in self.tasks} if self.decode else found)
