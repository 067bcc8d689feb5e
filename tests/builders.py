"""Samples and batches of every awkward kind, and where the shared data lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency, Objective
from mtpsl.structures import Batch, Sample
from mtpsl.tasks import ClassMap, Depth, Edges, Normals, Regression, Segmentation, Task
from mtpsl.tasks.binary import BinaryTask
from mtpsl.training.option_groups import constructor_arguments, dotted_names

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared folder beside the project is absent")


def tasks(num_classes: int = 5, edges: bool = False) -> list[Task]:
    """Segmentation, depth and normals (and edges)."""
    some: list[Task] = [Segmentation(num_classes=num_classes), Depth(), Normals()]
    return [*some, Edges()] if edges else some


def sample(key: str = "a", size: tuple[int, int] = (32, 64), seed: int = 0, edges: bool = False) -> Sample:
    """A random image with every label; all pixels valid. Class 4 of 5 is absent."""
    random = torch.Generator().manual_seed(seed)
    height, width = size
    targets = {
        "segmentation": torch.randint(0, 4, size, generator=random),
        "depth": torch.rand((1, height, width), generator=random) * 4 + 0.5,
        "normals": torch.nn.functional.normalize(torch.randn((3, height, width), generator=random), dim=0),
    }
    if edges:
        targets["edges"] = (torch.rand((1, height, width), generator=random) < 0.1).float()
    valid = {name: torch.ones(size, dtype=torch.bool) for name in targets}
    return Sample(key, torch.rand((3, height, width), generator=random), targets, valid)


def label(task: Task, size: tuple[int, int] = (32, 64), seed: int = 0) -> Tensor:
    """A random label of any task, without holes; the last class of those with classes is absent."""
    random = torch.Generator().manual_seed(seed)
    if isinstance(task, ClassMap):
        return torch.randint(0, task.num_classes - 1, size, generator=random)
    if isinstance(task, BinaryTask):
        return (
            torch.rand((task.out_channels, *size), generator=random) < (0.1 if isinstance(task, Edges) else 0.3)
        ).float()
    if isinstance(task, Normals):
        return torch.nn.functional.normalize(torch.randn((3, *size), generator=random), dim=0)
    if isinstance(task, Regression):
        low, high = task.range or (-2, 4)
        return torch.rand((task.out_channels, *size), generator=random) * (high - low) + low
    return torch.rand((1, *size), generator=random) * 4 + 0.5


def batch(
    labels: Sequence[Sequence[str]], size: tuple[int, int] = (32, 64), holes: bool = True, **options: bool
) -> Batch:
    """A batch whose image i carries `labels[i]`; with `holes`, a third of the labelled pixels are not valid."""
    edges = options.get("edges", False)
    samples = []
    for row, names in enumerate(labels):
        full = sample(f"image{row}", size, seed=row, edges=edges)
        if holes:
            random = torch.Generator().manual_seed(100 + row)
            for name in full.valid:
                full.valid[name] &= torch.rand(size, generator=random) > 1 / 3
        samples.append(full.with_labels_of(names))
    return Batch.collate(samples, {task.name: task.target_spec for task in tasks(edges=edges)})


THREE = ("segmentation", "depth", "normals")
LABELS: dict[str, list[tuple[str, ...]]] = {
    "all labelled": [THREE] * 3,
    "one label each": [("segmentation",), ("depth",), ("normals",)],
    "an image with none": [("segmentation",), (), ("depth", "normals")],
    "no label at all": [(), ()],
    "a task with none": [("segmentation",), ("depth", "segmentation"), ("depth",)],
    "one image": [("depth",)],
}


Kind = TypeVar("Kind", bound=Objective)


def make_objective(kind: type[Kind], some: Sequence[Task], network: nn.Module, /, **options: object) -> Kind:
    """An objective, its options by their last name: `width` is that of its mapping, `weight` that of its term."""
    return kind(some, network, **constructor_arguments(kind, in_groups(kind, options)))


def small_cross_task(**options: object) -> tuple[SegNet, CrossTaskConsistency]:
    """A narrow network of three tasks and cross-task consistency of one view, always the same."""
    torch.manual_seed(0)
    some = tasks()
    network = SegNet({task.name: task.out_channels for task in some}, width=0.125)
    return network, make_objective(CrossTaskConsistency, some, network, **{"views": 1, "width": 0.125, **options})


def in_groups(kind: type, options: Mapping[str, object]) -> dict[str, object]:
    """Options in the groups where a constructor has them, by their last name (that of the term) or whole name."""
    places = {name.rpartition(".")[2]: name for name in dotted_names(kind) if not name.startswith("relations.")}
    placed: dict[str, object] = {}
    for name, value in options.items():
        group, _, leaf = places.get(name, name).rpartition(".")
        if group:
            placed[group] = {**placed.get(group, {}), leaf: value}  # type: ignore[dict-item]
        else:
            placed[leaf] = value
    return placed


def leaf_names(kind: type) -> set[str]:
    """The last names of a constructor's options."""
    return {name.rpartition(".")[2] for name in dotted_names(kind)}
