"""What the processes of a test train with each objective; nothing in it is drawn, and no image sees another's norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from two_processes import CHOSEN, UNEVEN, Tiny, part, sums, train

from builders import batch, make_objective, tasks
from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.camera import Intrinsics
from mtpsl.objectives import OBJECTIVES, Objective
from mtpsl.structures import Batch
from mtpsl.tasks import Task

SMALL = {"width": 0.01}
CASES: dict[str, tuple[str, dict[str, Any], float]] = {
    name: (name, {} if name in ("supervised", "semi_supervised", "mean_teacher") else SMALL, 0.5)
    for name in OBJECTIVES
    if name != "stl"
}
CASES["discriminator"] = ("discriminator", {**SMALL, "discriminator_channels": 8}, 0.5)
CASES["mean_teacher"] = ("mean_teacher", {"jitter": 0, "probability": 0.3, "class_share": 0.6}, 0.5)
CASES["mean_teacher, one view"] = ("mean_teacher", {"jitter": 0, "views": 1, "value_share": 0.4}, 0.5)
CASES["x_task at first"] = ("x_task", SMALL, 0.0)
CASES["cross_task, one view"] = ("cross_task", {**SMALL, "views": 1, "labelled_pairs": True}, 0.5)
CASES["cross_task, balance"] = ("cross_task", {**SMALL, "balance": True}, 0.5)
CASES["cross_task, fit by labels"] = ("cross_task", {**SMALL, "fit": "labels"}, 0.5)
CASES["cross_task, margins"] = ("cross_task", {**SMALL, "fit": "labels", "margin": "labels"}, 0.5)
CASES["cross_task, sums"] = ("cross_task", {**SMALL, "reduction": "sum"}, 0.5)
RELATIONS = {"relations.weight": 20.0, "relations.ramp": 1.0}
CASES["supervised, relations"] = ("supervised", RELATIONS, 0.5)
CASES["mean_teacher, relations"] = ("mean_teacher", {**CASES["mean_teacher"][1], **RELATIONS}, 0.5)
"""Name, options and the share of the training that is done."""
RELATED = [[("edges",), ("normals", "segmentation"), (), ("depth",)], [("edges",), (), (), ()], [(), (), (), ()]]
"""The labels of the three batches of those with relations, of which edges count in the first process alone."""


class Settled(Augmentation):
    """Crops that follow from the image alone: the lower half of a light one, the upper half of a dark one."""

    def _draw(self, count: int, height: int, width: int, generator: object) -> Any:
        half = torch.tensor([[height // 2, width // 2]]).double().expand(count, 2)
        corner = torch.zeros(count, 2).double()
        corner[:, 0] = torch.tensor([height // 2 if light else 0 for light in self.light])
        return torch.full((count,), 2.0).double(), half, corner, torch.zeros(count, dtype=torch.bool)

    def _view(self, seen: Batch, generator: torch.Generator | None, flip: bool) -> Batch:
        self.light = (seen.images[:, 0, 0, 0] > 0.5).tolist()
        return super()._view(seen, generator, flip)


def settled(some: list[Task], objective: Objective) -> Objective:
    """The objective without randomness; batch norms keep to their statistics."""
    some[0].encode_prediction = lambda prediction: prediction.softmax(1)  # type: ignore[method-assign]
    for name in ("second_view", "crop", "other_view"):
        if hasattr(objective, name):
            setattr(objective, name, Settled(some, scales=(2.0,), flip=False))
    for module in objective.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.train = lambda mode=True, module=module: module  # type: ignore[method-assign, misc]
    return objective


def pictures(labels: list[tuple[str, ...]], related: bool = False) -> Batch:
    """Four images of which the last two look like the first two, so that the next image of a process is as it is in one
    process: what a negative pair is made of. With `related`, of edges, too, and with cameras, but for the first image.
    """
    data = batch(labels, (8, 16), edges=related)
    cameras = None
    if related:
        cameras = torch.tensor(Intrinsics(20.0, 15.0, 7.5, 3.5).matrix()).repeat(4, 1, 1)
        cameras[0] = 0
    return Batch(data.keys, data.images[[0, 1, 0, 1]], data.targets, data.valid, cameras=cameras)


def flatten_depth(network: Tiny) -> None:
    """Predicted depth nearly a plane, as what was learned is and what was drawn is not."""
    head = network.heads["depth"]
    assert isinstance(head, nn.Conv2d)
    assert head.bias is not None
    with torch.no_grad():
        head.weight.mul_(0.02)
        head.bias.fill_(2.0)


def gradients(case: str, rows: slice, **changed: Any) -> Tensor:
    """The gradients of three batches, at the same parameters: steps would enlarge differences of rounding."""
    name, options, progress = CASES[case]
    related = "relations.weight" in options
    options = {**options, **changed}
    torch.manual_seed(0)
    some, network = tasks(edges=related), Tiny(edges=related)
    if related:
        flatten_depth(network)
    objective = settled(some, make_objective(OBJECTIVES[name], some, network, **options))
    objective.set_progress(progress)
    parameters = [*network.parameters(), *objective.parameters()]
    found = []
    for labels in RELATED if related else UNEVEN:
        for parameter in parameters:
            parameter.grad = None
        objective(network, part(pictures(labels, related), rows)).total().backward()
        for parameter in parameters:
            grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            if distributed.is_initialized():  # what DistributedDataParallel does
                distributed.all_reduce(grad)
                grad /= 2
            found.append(grad.flatten())
    return torch.cat(found)


def process(rank: int, folder: str) -> None:
    """One of two processes: trains with every weighting and with every objective."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    mine = slice(2 * rank, 2 * rank + 2)
    trained = {name: train(name, mine) for name in CHOSEN} | {case: gradients(case, mine) for case in CASES}
    torch.save(trained, f"{folder}/{rank}.pt")
    torch.save(sums(mine), f"{folder}/sums{rank}.pt")
    distributed.destroy_process_group()
