"""What holds for every registered weighting."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

from builders import LABELS, batch, make_objective, tasks
from mtpsl.errors import UserError
from mtpsl.networks import EncoderDecoder
from mtpsl.objectives import OBJECTIVES, Objective
from mtpsl.structures import Batch, Losses, Output
from mtpsl.weighting import WEIGHTINGS, GradientWeighting, Weighting, shared_parameters

SOLVERS = {"cagrad": ("cvxpy", "clarabel"), "nash_mtl": ("cvxpy", "ecos")}
MISSING = {name for name, needed in SOLVERS.items() if not all(find_spec(package) for package in needed)}
NAMES = [name for name in WEIGHTINGS if name not in MISSING]
OF_GRADIENTS = [name for name in NAMES if issubclass(WEIGHTINGS[name], GradientWeighting)]
KINDS = [task.name for task in tasks()]


class Tiny(nn.Module):
    """Two shared convolutions, heads, no norm."""

    stride, feature_channels = 1, 8

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, padding=1), nn.Tanh())
        self.heads = nn.ModuleDict({task.name: nn.Conv2d(8, task.out_channels, 1) for task in tasks()})

    def forward(self, images: Tensor) -> Output:
        x = self.body(images)
        return Output({name: head(x) for name, head in self.heads.items()}, [x])


def make(name: str, objective: str = "supervised", **options: object) -> tuple[Tiny, Objective, Weighting]:
    torch.manual_seed(0)
    network = Tiny()
    small = {"width": 0.01} if objective == "cross_task" else {}
    return network, make_objective(OBJECTIVES[objective], tasks(), network, **small), WEIGHTINGS[name](KINDS, **options)


def step(network: nn.Module, objective: Objective, weighting: Weighting, data: Batch, scale: float = 1.0) -> Losses:
    torch.manual_seed(1)  # crops, and the order of pcgrad
    losses = objective(network, data)
    weighting.backward(losses, network, data, others=objective.parameters(), scale=scale)
    return losses


def gradients(*modules: nn.Module) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad for module in modules for p in module.parameters()]


def plain(objective: str, data: Batch, *, term: str | None = None) -> tuple[Tiny, Objective]:
    """Gradients of one task's loss, or of all terms."""
    network, method, _ = make("uniform", objective)
    torch.manual_seed(1)
    losses = method(network, data)
    (losses.total() if term is None else losses.tasks[term]).backward()
    return network, method


@pytest.mark.parametrize("objective", ["supervised", "cross_task"])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_and_reach_what_they_should(
    name: str, labels: list[tuple[str, ...]], objective: str
) -> None:
    network, method, weighting = make(name, objective)
    data = batch(labels, (8, 16))
    for _ in range(2):  # a weighting may start with weights of 1
        step(network, method, weighting, data)
        weighting.end_epoch()
    every = gradients(network, method, weighting)
    assert all(x.isfinite().all() for x in every)
    for task in KINDS:
        labelled = any(task in names for names in labels)
        own = any(x.any() for x in gradients(network.heads[task]))
        assert own == labelled or objective == "cross_task"
    assert any(x.any() for x in gradients(network.body)) == any(labels)
    assert all(weight.isfinite() for weight in weighting.weights.values())
    assert set(weighting.weights) <= set(KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_hidden_labels_change_nothing(name: str) -> None:
    data = batch(LABELS["an image with none"], (8, 16))
    spoiled = {}
    for task, target in data.targets.items():
        hidden = ~data.valid[task] if target.ndim == 3 else (~data.valid[task])[:, None].expand_as(target)
        spoiled[task] = target.masked_fill(hidden, 4 if task == "segmentation" else float("nan"))
    results = []
    for seen in (data, Batch(data.keys, data.images, spoiled, data.valid)):
        network, method, weighting = make(name)
        step(network, method, weighting, seen)
        results.append(gradients(network, weighting))
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("name", NAMES)
def test_a_head_gets_the_gradient_of_its_own_loss(name: str, labels: list[tuple[str, ...]]) -> None:
    data = batch(labels, (8, 16))
    network, method, weighting = make(name)
    step(network, method, weighting, data)
    for task in KINDS:
        alone = gradients(plain("supervised", data, term=task)[0].heads[task])
        plainly = isinstance(weighting, GradientWeighting) and not weighting.weighs_heads
        weight = 1.0 if plainly or task not in weighting.weights else weighting.weights[task]
        for mine, wanted in zip(gradients(network.heads[task]), alone, strict=True):
            torch.testing.assert_close(mine, weight * wanted)


@pytest.mark.parametrize("name", NAMES)
def test_the_shared_part_gets_the_weighted_sum_of_the_tasks_gradients(name: str) -> None:
    data = batch(LABELS["all labelled"], (8, 16))
    network, method, weighting = make(name, **({"max_norm": 0.0} if name == "nash_mtl" else {}))
    step(network, method, weighting, data)
    wanted = [torch.zeros_like(p) for p in network.body.parameters()]
    for task in KINDS:
        weight = weighting.weights.get(task, torch.tensor(1.0))
        alone = gradients(plain("supervised", data, term=task)[0].body)
        wanted = [before + weight * x for before, x in zip(wanted, alone, strict=True)]
    for mine, sums in zip(gradients(network.body), wanted, strict=True):
        torch.testing.assert_close(mine, sums, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("labels", [[("depth",), ()], [("depth",), ("depth",)]])
@pytest.mark.parametrize("name", OF_GRADIENTS)
def test_with_one_task_labelled_the_gradient_is_that_of_plain_training(
    name: str, labels: list[tuple[str, ...]]
) -> None:
    data = batch(labels, (8, 16))
    network, method, weighting = make(name, "cross_task")
    step(network, method, weighting, data)
    for mine, wanted in zip(gradients(network, method), gradients(*plain("cross_task", data)), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-7)
    assert set(weighting.weights) == {"depth"}


@pytest.mark.parametrize("name", OF_GRADIENTS)
def test_auxiliary_losses_add_their_plain_gradient_to_everything(name: str) -> None:
    data = batch(LABELS["an image with none"], (8, 16))
    network, method, weighting = make(name, "cross_task")
    step(network, method, weighting, data)
    without, supervised, same = make(name, "supervised")
    step(without, supervised, same, data)
    of_all, of_tasks = plain("cross_task", data), plain("supervised", data)
    for mine, alone, whole, part in zip(
        *(gradients(n) for n in (network, without, of_all[0], of_tasks[0])), strict=True
    ):
        torch.testing.assert_close(mine - alone, whole - part, rtol=1e-4, atol=1e-6)
    for mine, wanted in zip(gradients(method), gradients(of_all[1]), strict=True):
        torch.testing.assert_close(mine, wanted)
    assert any(x.any() for x in gradients(method))


@pytest.mark.parametrize("name", NAMES)
def test_a_scaled_step_adds_to_the_gradients_that_are_there(name: str) -> None:
    data = batch(LABELS["all labelled"], (8, 16))
    once, twice = make(name), make(name)
    step(*once, data)
    for _ in range(2):
        step(*twice, data, scale=0.5)
    for one, two in zip(gradients(once[0]), gradients(twice[0]), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_checkpoint_holds_is_enough_to_continue(name: str) -> None:
    data = [batch(labels, (8, 16)) for labels in (LABELS["all labelled"], LABELS["one label each"])]
    network, method, weighting = make(name)
    optimizer = torch.optim.SGD([{"params": network.parameters()}, *weighting.parameter_groups(0.1)], lr=0.1)
    for seen in data:
        step(network, method, weighting, seen)
        optimizer.step()
        weighting.end_epoch()
    optimizer.zero_grad()
    resumed = WEIGHTINGS[name](KINDS)
    resumed.load_state_dict(weighting.state_dict())
    results = []
    for one in (weighting, resumed):
        step(network, method, one, data[0])
        results.append([p.grad.clone() for p in network.parameters()] + [*one.state_dict().values()])
        optimizer.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_parameter_groups_cover_all_parameters_once_without_decay(name: str) -> None:
    weighting = WEIGHTINGS[name](KINDS)
    groups = list(weighting.parameter_groups(1e-3))
    assert all(group["weight_decay"] == 0 for group in groups)
    assert sorted(id(p) for group in groups for p in group["params"]) == sorted(map(id, weighting.parameters()))


@pytest.mark.parametrize("name", NAMES)
def test_one_task_alone_is_trained_as_without_weighting(name: str) -> None:
    weight = nn.Parameter(torch.tensor([2.0]))
    network = nn.Module()
    network.heads = nn.ModuleDict()
    network.register_parameter("weight", nn.Parameter(torch.tensor([[2.0]])))
    weight = network.weight
    data = batch([("depth",)], (8, 16))
    only = Batch(data.keys, data.images, {"depth": data.targets["depth"]}, {"depth": data.valid["depth"]})
    WEIGHTINGS[name](["depth"]).backward(Losses({"depth": (weight**2).sum()}), network, only)
    assert weight.grad.item() == pytest.approx(2.0 if name == "uncertainty" else 4.0)


@pytest.mark.parametrize("name", NAMES)
def test_losses_of_other_tasks_are_refused(name: str) -> None:
    if name == "uniform":
        return
    weighting = WEIGHTINGS[name](["depth", "normals"])
    losses = Losses({"depth": torch.ones((), requires_grad=True)})
    with pytest.raises(ValueError, match="depth, normals, not depth"):
        weighting.backward(losses, Tiny(), batch([("depth",)], (8, 16)))


@pytest.mark.parametrize(("name", "packages"), SOLVERS.items())
def test_a_missing_solver_is_named_with_its_cure(
    name: str, packages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtpsl.weighting.gradient.find_spec", lambda package: None)
    extra = "cagrad" if name == "cagrad" else "solvers"
    with pytest.raises(UserError) as caught:
        WEIGHTINGS[name](KINDS)
    assert str(caught.value) == f"weighting {name} needs {' and '.join(packages)}: pip install 'mtpsl[{extra}]'"


def test_shared_parameters_are_all_but_the_heads_or_those_that_several_losses_reach() -> None:
    network = Tiny()
    network.body[0].bias.requires_grad_(False)
    expected = [p for name, p in network.body.named_parameters() if name != "0.bias"]
    assert [*map(id, shared_parameters(network))] == [*map(id, expected)]
    other = nn.ModuleDict({"trunk": nn.Linear(2, 2), "a": nn.Linear(2, 1), "b": nn.Linear(2, 1), "c": nn.Linear(2, 1)})
    x = other["trunk"](torch.ones(2))
    losses = [other[name](x).sum() for name in "abc"]
    assert [*map(id, shared_parameters(other, losses))] == [*map(id, other["trunk"].parameters())]


@pytest.mark.parametrize("per_task", [False, True])
def test_a_decoder_for_each_task_is_not_shared(per_task: bool) -> None:
    network = EncoderDecoder(
        {"segmentation": 3, "depth": 1}, encoder="test_resnet", decoder_channels=4, decoder_per_task=per_task
    )
    expected = [*network.encoder.parameters(), *([] if per_task else network.decoders.parameters())]
    assert [*map(id, shared_parameters(network))] == [*map(id, expected)]


def test_a_network_without_heads_of_that_name_gives_the_same_gradients() -> None:
    class Renamed(Tiny):
        def __init__(self) -> None:
            super().__init__()
            self.predictors = self.heads
            del self.heads

        def forward(self, images: Tensor) -> Output:
            x = self.body(images)
            return Output({name: head(x) for name, head in self.predictors.items()}, [x])

    data = batch(LABELS["one label each"], (8, 16))
    network, method, weighting = make("mgda")
    step(network, method, weighting, data)
    renamed = Renamed()
    renamed.load_state_dict({k.replace("heads", "predictors"): v for k, v in network.state_dict().items()})
    step(renamed, method, WEIGHTINGS["mgda"](KINDS), data)
    for one, two in zip(gradients(network), gradients(renamed), strict=True):
        torch.testing.assert_close(one, two)
