"""What an objective does that is not told how much of the training is done, and a task whose label a crop misses."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch

from builders import LABELS, batch, make_objective, tasks
from mtpsl.augmentation.rotate import Rotation
from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.networks import SegNet
from mtpsl.objectives import OBJECTIVES, CrossTaskConsistency, DirectMap, Objective, SemiSupervised
from mtpsl.structures import Batch

WIDTH = 0.01
SIZE = (32, 32)


def make(name: str, **options: object) -> tuple[SegNet, Objective]:
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in tasks()}, width=WIDTH)
    small = {} if name == "semi_supervised" else {"width": WIDTH}
    return network, make_objective(OBJECTIVES[name], tasks(), network, **small, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cross_task", {"ramp": 0.25, "views": 1}),
        ("cross_task", {"pairs": "auto", "views": 1}),
        ("semi_supervised", {"ramp": 0.5}),
        ("x_task", {}),
    ],
)
def test_who_never_tells_the_progress_is_warned_once(name: str, options: dict[str, object]) -> None:
    data = batch(LABELS["one label each"], SIZE)
    network, objective = make(name, **options)
    with pytest.warns(UserWarning, match=r"call objective.set_progress\(step / steps\) before every step"):
        objective(network, data)
    objective(network, data)  # warnings are errors
    network, objective = make(name, **options)
    objective.set_progress(0.0)
    objective(network, data)


@pytest.mark.parametrize("name", ["cross_task", "contrastive", "jtr", "direct_map"])
def test_nobody_is_warned_where_nothing_changes_over_the_training(name: str) -> None:
    network, objective = make(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective(network, batch(LABELS["one label each"], SIZE))


@pytest.mark.parametrize("progress", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_of_the_training_is_refused(progress: float) -> None:
    with pytest.raises(ValueError, match="progress is a share of the training"):
        make("jtr")[1].set_progress(progress)


def in_a_corner(labels: list[tuple[str, ...]]) -> Batch:
    """Depth is labelled at one pixel, which no crop of another corner sees."""
    data = batch(labels, SIZE, holes=False)
    corner = torch.zeros_like(data.valid["depth"])
    corner[:, -1, -1] = True
    return replace(data, valid={**data.valid, "depth": data.valid["depth"] & corner})


@pytest.mark.parametrize("step", ["crop", "turn"])
def test_a_task_whose_label_a_crop_misses_is_neither_source_nor_target(step: str) -> None:
    network, objective = make("cross_task", views=1)
    assert isinstance(objective, CrossTaskConsistency)
    data = in_a_corner([("segmentation", "depth"), ("segmentation",)])
    augment = Augmentation(tasks(), scales=(2.0,)) if step == "crop" else Rotation(tasks(), scales=(2.0, 2.0))
    torch.manual_seed(3)
    cropped = augment(augment(data))
    assert not cropped.labelled("depth").any()
    assert cropped.unlabelled("depth").tolist() == [False, True]
    terms = objective(network, cropped.to("cpu")).auxiliary
    assert terms["normals->segmentation"] > 0
    rows = Batch(*(x[:1] if isinstance(x, torch.Tensor | tuple) else {k: v[:1] for k, v in x.items()} for x in (
        cropped.keys, cropped.images, cropped.targets, cropped.valid, cropped.annotated)))  # fmt: skip
    alone = objective(network, rows).auxiliary
    assert {name for name, term in alone.items() if term > 0} == {"normals->segmentation"}


def test_with_two_views_no_task_becomes_a_source_because_the_second_crop_misses_it() -> None:
    network, objective = make("cross_task", views=2)
    data = in_a_corner(LABELS["all labelled"])
    missed = False
    for seed in range(4):
        torch.manual_seed(seed)
        missed |= not bool(objective.second_view(data).labelled("depth").all())
        torch.manual_seed(seed)
        assert all(term == 0 for term in objective(network, data).auxiliary.values())
    assert missed


@pytest.mark.parametrize("kind", [DirectMap, SemiSupervised])
def test_other_objectives_do_not_take_what_a_crop_misses_for_unlabelled_either(kind: type[Objective]) -> None:
    network, objective = make("direct_map" if kind is DirectMap else "semi_supervised")
    data = in_a_corner(LABELS["all labelled"])
    annotated = {name: data.labelled(name) for name in data.valid}
    empty = {**data.valid, "depth": torch.zeros_like(data.valid["depth"])}
    seen = replace(data, valid=empty, annotated=annotated)
    assert all(term == 0 for term in objective(network, seen).auxiliary.values())
    assert any(term > 0 for term in objective(network, replace(seen, annotated=None)).auxiliary.values())
