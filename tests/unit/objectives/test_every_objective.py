"""What holds for every registered objective."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from builders import LABELS, batch, leaf_names, make_objective, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import OBJECTIVES, Objective
from mtpsl.structures import Batch, Losses, Output

NAMES = [name for name in OBJECTIVES if name != "stl"]  # the single-task baseline takes one task
CASES = [(name, 0.0) for name in NAMES] + [("x_task", 0.9), ("mean_teacher", 0.9)]
"""Objectives and the share of the training that is done: two have phases."""

WIDTH = 0.01  # every layer has the least number of channels, 8


def pairs(names: list[str], prefix: str = "") -> set[str]:
    return {f"{prefix}{s}->{t}" for s in names for t in names if s != t}


def expected_keys(name: str, names: list[str]) -> set[str]:
    if name == "semi_supervised":
        return {f"crop/{task}" for task in names}
    if name == "mean_teacher":
        return {f"teacher/{task}" for task in names}
    if name == "jtr":
        return {"joint/distance", "joint/reconstruction"}
    if name in ("perceptual_map", "x_task"):
        return pairs(names) | pairs(names, "mapping/")
    return set() if name == "supervised" else pairs(names)


def make(name: str, count: int = 3, progress: float = 0.0, **options: object) -> tuple[SegNet, Objective]:
    torch.manual_seed(0)
    some = tasks(edges=count > 3)[:count]
    network = SegNet({task.name: task.out_channels for task in some}, width=WIDTH)
    known = leaf_names(OBJECTIVES[name])
    small = {"width": WIDTH, "discriminator_channels": 8}
    objective = make_objective(
        OBJECTIVES[name], some, network, **{k: v for k, v in small.items() if k in known}, **options
    )
    objective.set_progress(progress)
    return network, objective


def restricted(data: Batch, objective: Objective) -> Batch:
    """The batch with the objective's tasks only."""
    names = [task.name for task in objective.tasks]
    return Batch(data.keys, data.images, {n: data.targets[n] for n in names}, {n: data.valid[n] for n in names})


def losses_of(network: nn.Module, objective: Objective, data: Batch) -> Losses:
    torch.manual_seed(1)  # crops and sampled one-hot maps
    return objective(network, data)


def gradients(*modules: nn.Module) -> list[Tensor | None]:
    return [p.grad for module in modules for p in module.parameters()]


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize(("name", "progress"), CASES)
def test_losses_and_gradients_are_finite_and_keys_the_same(
    name: str, progress: float, labels: list[tuple[str, ...]]
) -> None:
    network, objective = make(name, progress=progress)
    losses = losses_of(network, objective, batch(labels, (32, 32)))
    losses.total().backward()
    assert all(torch.isfinite(x) for x in [*losses.tasks.values(), *losses.auxiliary.values()])
    assert all(x.ndim == 0 for x in [*losses.tasks.values(), *losses.auxiliary.values()])
    assert all(grad is None or grad.isfinite().all() for grad in gradients(network, objective))
    names = [task.name for task in objective.tasks]
    assert [*losses.tasks] == names
    assert set(losses.auxiliary) == expected_keys(name, names), f"say in expected_keys what {name} adds"


@pytest.mark.parametrize(("name", "progress"), CASES)
def test_images_that_the_stride_does_not_divide_are_learned_from(name: str, progress: float) -> None:
    network, objective = make(name, progress=progress)
    losses = losses_of(network, objective, batch(LABELS["one label each"], (33, 50)))
    losses.total().backward()
    assert torch.isfinite(losses.total())
    silent = name == "mean_teacher" and not progress
    assert any(x > 0 for x in losses.auxiliary.values()) == (bool(losses.auxiliary) and not silent)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize(("name", "progress"), CASES)
def test_any_number_of_tasks_works(name: str, progress: float, count: int) -> None:
    network, objective = make(name, count, progress)
    names = [task.name for task in objective.tasks]
    data = batch([(names[0],), (names[-1],), ()], (32, 32), edges=count > 3)
    losses = losses_of(network, objective, restricted(data, objective))
    losses.total().backward()
    assert torch.isfinite(losses.total())
    assert set(losses.auxiliary) == expected_keys(name, names)
    own = [parameter.grad for parameter in objective.parameters()]
    if name != "x_task" or not progress:
        assert not own or any(grad is not None and grad.any() for grad in own)


@pytest.mark.parametrize(("name", "progress"), CASES)
def test_hidden_labels_change_nothing(name: str, progress: float) -> None:
    data = batch(LABELS["an image with none"], (32, 32))
    spoiled = {}
    for task, target in data.targets.items():
        hidden = ~data.valid[task] if target.ndim == 3 else (~data.valid[task])[:, None].expand_as(target)
        spoiled[task] = target.masked_fill(hidden, 4 if task == "segmentation" else float("nan"))
    results = []
    for seen in (data, Batch(data.keys, data.images, spoiled, data.valid)):
        network, objective = make(name, progress=progress)
        losses = losses_of(network, objective, seen)
        losses.total().backward()
        results.append(([*losses.tasks.values(), *losses.auxiliary.values()], gradients(network, objective)))
    for one, two in zip(*(values + grads for values, grads in results), strict=True):
        assert (one is None and two is None) or torch.equal(one, two)


@pytest.mark.parametrize(("name", "progress"), CASES)
def test_with_all_labels_supervised_losses_are_those_of_plain_training(name: str, progress: float) -> None:
    network, objective = make(name, 2, progress)
    data = restricted(batch(LABELS["all labelled"], (32, 32)), objective)
    network.eval()  # the norm would see both views
    plain = losses_of(network, make("supervised", 2)[1], data).tasks
    for task, loss in losses_of(network, objective, data).tasks.items():
        torch.testing.assert_close(loss, plain[task])


@pytest.mark.parametrize("name", NAMES)
def test_parameter_groups_cover_all_parameters_once(name: str) -> None:
    objective = make(name)[1]
    groups = list(objective.parameter_groups(1e-4))
    assert all(group["lr"] == 1e-4 for group in groups)
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in objective.parameters())
    if "lr" in leaf_names(OBJECTIVES[name]):
        own = list(make(name, lr=5e-3)[1].parameter_groups(1e-4))
        assert own[0]["lr"] == 5e-3


@pytest.mark.parametrize("name", [name for name in NAMES if OBJECTIVES[name].task_range[0] == 2])
def test_methods_on_pairs_refuse_one_task(name: str) -> None:
    with pytest.raises(ValueError, match="at least 2 tasks"):
        make(name, 1)


@pytest.mark.parametrize(("name", "progress"), CASES)
def test_networks_of_ones_own_and_odd_sizes_work(name: str, progress: float) -> None:
    class Tiny(nn.Module):
        stride, feature_channels = 4, 16

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 16, 4, stride=4)
            self.heads = nn.ModuleDict({t.name: nn.ConvTranspose2d(16, t.out_channels, 4, stride=4) for t in tasks()})

        def forward(self, images: Tensor) -> Output:
            x = self.body(images)
            return Output({name: head(x) for name, head in self.heads.items()}, [x])

    network, data = Tiny(), batch(LABELS["one label each"], (36, 44))
    small = {"width": WIDTH} if "width" in leaf_names(OBJECTIVES[name]) else {}
    objective = make_objective(OBJECTIVES[name], tasks(), network, **small)
    objective.set_progress(progress)
    losses = losses_of(network, objective, data)
    losses.total().backward()
    assert torch.isfinite(losses.total())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "supervised"])
def test_weight_ramp_and_wrong_options(name: str) -> None:
    data = batch([("segmentation",), ("depth",)], (32, 32))

    def term(progress: float, **options: object) -> float:
        network, objective = make(name, 2, progress, **options)
        losses = losses_of(network, objective, restricted(data, objective)).auxiliary
        weighted = [x for key, x in losses.items() if not key.startswith("mapping/") and key != "joint/reconstruction"]
        return float(torch.stack(weighted).sum().detach())

    if name != "discriminator":  # its weight is on the gradient
        first = 0.5 if name in ("x_task", "mean_teacher") else 0.0
        options = {{"x_task": "first_phase"}.get(name, "start"): first} if first else {}
        base = term(1.0, weight=1.0, **options)
        assert base > 0
        assert term(1.0, weight=3.0, **options) == pytest.approx(3 * base, rel=1e-4)
        assert term(first + 0.1, weight=1.0, ramp=0.4, **options) == pytest.approx(base / 4, rel=1e-4)
        assert term(1.0, weight=0.0, **options) == 0
    for options, message in [({"weight": -1.0}, "weight"), ({"ramp": 2.0}, "ramp")]:
        with pytest.raises(ValueError, match=message):
            make(name, **options)
