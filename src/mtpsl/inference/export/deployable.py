"""A network with all that stands before and after it: bytes of pictures in, arrays of labels' values out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from mtpsl.inference.exportable import Exportable
from mtpsl.tasks import Task

RAW = "raw_"
"""What the name of a raw prediction begins with where it stands beside the decoded one."""


class Deployable(nn.Module):
    """Pictures as programs hold them, (b, h, w, 3) bytes of RGB, to arrays in the form that `Predictor` gives.

    That is (b, h, w), or (b, h, w, c) for several channels: classes as bytes (32 bits for more than 256 of them),
    everything else as 32-bit numbers in the unit of the labels.

    >>> from mtpsl import Depth, SegNet
    >>> module = Deployable(SegNet({"depth": 1}, width=0.125), [Depth()])
    >>> module(torch.zeros(1, 32, 64, 3, dtype=torch.uint8))["depth"].shape
    torch.Size([1, 32, 64])

    Args:
        network: as that of `Exportable`.
        tasks: what to give, in this order.
        raw: also give raw predictions (b, c, h, w), after all decoded ones, as `raw_<task>`.
    """

    def __init__(self, network: nn.Module, tasks: Sequence[Task], *, raw: bool = False) -> None:
        super().__init__()
        self.predict, self.tasks, self.raw = Exportable(network, tasks, decode=False), list(tasks), raw

    def forward(self, image: UInt8[Tensor, "b h w 3"]) -> dict[str, Tensor]:
        """Predict every task."""
        raw = self.predict(image.permute(0, 3, 1, 2).float() / 255)
        found = {task.name: as_array(task, task.decode(raw[task.name])) for task in self.tasks}
        return found | {f"{RAW}{name}": x for name, x in raw.items()} if self.raw else found


def as_bytes(images: Float[Tensor, "b 3 h w"]) -> UInt8[Tensor, "b h w 3"]:
    """Images from 0 to 1 as `Deployable` takes them."""
    return (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def as_array(task: Task, values: Tensor) -> Tensor:
    """Decoded predictions with channels last, or without the axis where there is one channel."""
    if not task.target_spec.channels:
        return values.to(torch.uint8 if task.out_channels <= 256 else torch.int32)
    return values[:, 0].float() if task.target_spec.channels == 1 else values.permute(0, 2, 3, 1).float()
