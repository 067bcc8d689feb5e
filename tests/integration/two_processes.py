"""What the processes of a test train with each weighting; it imports little, since every process starts with it."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from builders import batch, make_objective, tasks
from mtpsl.objectives import CrossTaskConsistency, Supervised
from mtpsl.structures import Batch, Output
from mtpsl.weighting import WEIGHTINGS, GradientWeighting

KINDS = [task.name for task in tasks()]
UNEVEN = [[("segmentation",), ("depth", "segmentation"), (), ("normals",)], [("depth",), (), (), ()], [(), (), (), ()]]
"""The labels of three steps of four images; the first process sees the first two of each, the second the others."""
CHOSEN = ["uniform", "uncertainty", "dwa", "gradnorm", "mgda", "pcgrad", "upgrad"]


class Tiny(nn.Module):
    """A network without a norm, whose statistics would differ between processes."""

    stride, feature_channels = 1, 8

    def __init__(self, edges: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, padding=1), nn.Tanh())
        self.heads = nn.ModuleDict({task.name: nn.Conv2d(8, task.out_channels, 1) for task in tasks(edges=edges)})

    def forward(self, images: Tensor) -> Output:
        x = self.body(images)
        return Output({name: head(x) for name, head in self.heads.items()}, [x])


def part(data: Batch, rows: slice) -> Batch:
    targets = {name: x[rows] for name, x in data.targets.items()}
    valid = {name: x[rows] for name, x in data.valid.items()}
    cameras = None if data.cameras is None else data.cameras[rows]
    return Batch(data.keys[rows], data.images[rows], targets, valid, cameras=cameras)


def train(name: str, rows: slice) -> list[Tensor]:
    """Network and weighting after three epochs of three steps each."""
    torch.manual_seed(0)
    network = Tiny()
    objective, weighting = Supervised(tasks(), network), WEIGHTINGS[name](KINDS)
    groups = [{"params": list(network.parameters()), "lr": 0.3}, *weighting.parameter_groups(0.1)]
    optimizer = torch.optim.SGD(groups)
    parameters = [p for group in groups for p in group["params"]]
    for epoch in range(3):
        torch.manual_seed(epoch + 100 * (rows.start or 0))  # processes draw differently, as in a run
        for labels in UNEVEN:
            data = part(batch(labels, (8, 16)), rows)
            optimizer.zero_grad()
            weighting.backward(objective(network, data), network, data)
            if not isinstance(weighting, GradientWeighting) and distributed.is_initialized():
                for parameter in parameters:  # what DistributedDataParallel does
                    if parameter.grad is not None:
                        distributed.all_reduce(parameter.grad)
                        parameter.grad /= 2
            optimizer.step()
        weighting.end_epoch()
    return [x.detach().clone() for x in [*network.parameters(), *weighting.state_dict().values()]]


class Featured(Tiny):
    """The same for objectives that need features; heads of depth and normals, which draw nothing."""

    def forward(self, images: Tensor) -> Output:
        x = self.body(images)
        return Output({name: head(x) for name, head in self.heads.items() if name != "segmentation"}, [x])


def sums(rows: slice) -> dict[str, Tensor]:
    """What an objective measured of images with different labels in both processes."""
    torch.manual_seed(0)
    network = Featured()
    objective = make_objective(CrossTaskConsistency, tasks()[1:], network, views=1, balance=True, width=0.01)
    data = part(batch([("depth",), ("depth",), ("normals",), ("normals",)], (8, 16)), rows)
    two = [task.name for task in objective.tasks]
    data = Batch(data.keys, data.images, {n: data.targets[n] for n in two}, {n: data.valid[n] for n in two})
    objective(network, data).total().backward()
    objective.end_epoch()
    assert objective.balance is not None
    return {"factors": objective.balance.factors(), "gain": objective.relations.gain(), **objective.state_dict()}
