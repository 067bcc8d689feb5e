"""Each formula against values worked out by hand, and TorchJD's aggregators on explicit Jacobians."""

from __future__ import annotations

from itertools import combinations
from math import exp

import pytest
import torch
from test_every_weighting import KINDS, MISSING
from torch import Tensor, nn
from torchjd import aggregation

from builders import batch
from mtpsl.structures import Batch, Losses
from mtpsl.weighting import DWA, WEIGHTINGS, Fixed, GradientWeighting, GradNorm, NashMTL, Uncertainty, Uniform
from mtpsl.weighting.gradnorm import weight_gradient
from mtpsl.weighting.mgda import shortest_combination

BOTH = ["segmentation", "depth"]


class Linear(nn.Module):
    """Every task's loss is an inner product of the shared weights with a row: the rows are the Jacobian."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict()
        self.weight = nn.Parameter(torch.zeros(1, size))

    def losses(self, rows: Tensor, tasks: list[str], offset: float = 0.0) -> Losses:
        values = rows @ self.weight[0] + offset
        return Losses(dict(zip(tasks, values, strict=True)))


def seen(*labels: tuple[str, ...], tasks: list[str] = BOTH) -> Batch:
    """A batch of some tasks."""
    data = batch(labels, (8, 16))
    return Batch(data.keys, data.images, {t: data.targets[t] for t in tasks}, {t: data.valid[t] for t in tasks})


ALL = seen(("segmentation", "depth"))
DEPTH = seen(("depth",))


def leaf(value: float) -> Tensor:
    return torch.tensor(value, requires_grad=True)


def test_uniform_is_the_plain_sum_to_the_last_bit() -> None:
    losses = Losses({"segmentation": leaf(0.1), "depth": leaf(0.2)}, {"a->b": leaf(0.3)})
    assert torch.equal(Uniform(BOTH).total(losses, nn.Module(), ALL), losses.total())


def test_fixed_weights_multiply_the_losses_of_tasks_only() -> None:
    losses = Losses({"segmentation": leaf(1.0), "depth": leaf(2.0)}, {"a->b": leaf(5.0)})
    total = Fixed(BOTH, weights={"depth": 3.0}).total(losses, nn.Module(), ALL)
    assert total.item() == pytest.approx(1 + 3 * 2 + 5)
    total.backward()
    assert [x.grad.item() for x in (*losses.tasks.values(), *losses.auxiliary.values())] == [1, 3, 1]


@pytest.mark.parametrize(("weights", "message"), [({"deph": 1.0}, "deph"), ({"depth": -1.0}, "negative")])
def test_wrong_fixed_weights_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fixed(BOTH, weights=weights)


def test_uncertainty_by_hand() -> None:
    weighting = Uncertainty(BOTH)
    weighting.log_variance.data = torch.tensor([0.0, 1.0])
    losses = Losses({"segmentation": leaf(3.0), "depth": leaf(4.0)}, {"a->b": leaf(5.0)})
    total = weighting.total(losses, nn.Module(), ALL)
    assert total.item() == pytest.approx(0.5 * 3 + 0.5 * exp(-1) * 4 + 0.5 * 1 + 5)
    total.backward()
    assert weighting.log_variance.grad.tolist() == pytest.approx([-0.5 * 3 + 0.5, -0.5 * exp(-1) * 4 + 0.5])
    assert weighting.weights["depth"].item() == pytest.approx(0.5 * exp(-1))


def test_uncertainties_start_where_they_are_told() -> None:
    assert Uncertainty(BOTH).log_variance.tolist() == [0.0, 0.0]
    weighting = Uncertainty(BOTH, start=-0.5)
    total = weighting.total(Losses({"segmentation": leaf(3.0), "depth": leaf(4.0)}), nn.Module(), ALL)
    assert total.item() == pytest.approx(0.5 * exp(0.5) * 7 - 0.5)
    with pytest.raises(ValueError, match="start"):
        Uncertainty(BOTH, start=float("nan"))


def test_the_uncertainty_of_a_task_without_label_is_not_pushed() -> None:
    weighting = Uncertainty(BOTH)
    losses = Losses({"segmentation": 0.0 * leaf(1.0), "depth": leaf(4.0)})
    weighting.total(losses, nn.Module(), DEPTH).backward()
    assert weighting.log_variance.grad.tolist() == [0.0, -1.5]


def test_dwa_by_hand() -> None:
    weighting = DWA(BOTH)
    epochs = [[(8.0, 1.0), (4.0, 3.0)], [(3.0, 2.0), (3.0, 2.0)]]  # averages (6, 2), then (3, 2)
    for epoch in epochs:
        for segmentation, depth in epoch:
            weighting.total(Losses({"segmentation": leaf(segmentation), "depth": leaf(depth)}), nn.Module(), ALL)
            assert [x.item() for x in weighting.weights.values()] == [1, 1]
        weighting.end_epoch()
    a, b = exp(0.5 / 2), exp(1.0 / 2)
    assert weighting.current_weights().tolist() == pytest.approx([2 * a / (a + b), 2 * b / (a + b)])


def test_dwa_skips_batches_and_epochs_without_a_label() -> None:
    weighting = DWA(BOTH)

    def show(data: Batch, segmentation: float, depth: float) -> None:
        weighting.total(Losses({"segmentation": leaf(segmentation), "depth": leaf(depth)}), nn.Module(), data)

    show(ALL, 6.0, 2.0)
    show(DEPTH, 0.0, 4.0)
    weighting.end_epoch()
    assert weighting.averages[1].tolist() == [6.0, 3.0]
    show(DEPTH, 0.0, 6.0)
    weighting.end_epoch()
    assert weighting.averages[1].tolist() == [6.0, 6.0]
    a, b = exp(1 / 2), exp(2 / 2)  # segmentation has one average only: r = 1
    assert weighting.current_weights().tolist() == pytest.approx([2 * a / (a + b), 2 * b / (a + b)])


def test_validation_does_not_count_for_dwa() -> None:
    weighting = DWA(BOTH).eval()
    weighting.total(Losses({"segmentation": leaf(1.0), "depth": leaf(1.0)}), nn.Module(), ALL)
    weighting.train().end_epoch()
    assert weighting.averages.isnan().all()


def test_gradnorm_by_hand() -> None:
    every = torch.tensor([True, True])
    found = weight_gradient(torch.tensor([1.0, 1.0]), torch.tensor([3.0, 1.0]), torch.tensor([0.5, 1.0]), every, 1.0)
    # mean norm 2; relative rates 2/3 and 4/3: targets 4/3 and 8/3; 3 is above, 1 below
    assert found.tolist() == [3.0, -1.0]
    found = weight_gradient(torch.tensor([0.5, 1.5]), torch.tensor([3.0, 1.0]), torch.tensor([0.1, 1.0]), every, 0.0)
    assert found.tolist() == [0.0, 0.0]  # alpha 0 asks for equal norms, and 0.5 * 3 = 1.5 * 1
    one = torch.tensor([False, True])
    found = weight_gradient(torch.tensor([0.5, 1.5]), torch.tensor([3.0, 1.0]), torch.tensor([0.1, 1.0]), one, 1.5)
    assert found.tolist() == [0.0, 0.0]


def test_gradnorm_measures_the_gradients_of_the_nearest_shared_weight() -> None:
    network, weighting = Linear(2), GradNorm(BOTH, alpha=0.0)
    rows = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    weighting.backward(network.losses(rows, BOTH, 1.0), network, ALL)
    assert weighting.raw.grad.tolist() == [5.0, -1.0]  # norms 5 and 1, mean 3
    assert network.weight.grad.tolist() == [[3.0, 5.0]]  # with weights of 1
    assert weighting.initial.tolist() == [1.0, 1.0]
    weighting.raw.data = torch.tensor([-1.0, 2.0])
    weighting.normalize()
    assert weighting.raw.tolist() == pytest.approx([2 * 0.001 / 2.001, 2 * 2 / 2.001])


def test_gradnorm_takes_another_layer_and_refuses_unknown_ones() -> None:
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    network.heads = nn.ModuleDict()
    network[0].weight.data.fill_(2.0)
    network[1].weight.data.fill_(3.0)
    y = network[1](network[0](torch.ones(1))).sum()
    losses = Losses({"segmentation": y, "depth": 2 * y})
    assert GradNorm(BOTH).norms(losses, network).tolist() == [2.0, 4.0]
    assert GradNorm(BOTH, layer="0.weight").norms(losses, network).tolist() == [3.0, 6.0]
    with pytest.raises(ValueError, match=r"'2\.weight' is not a parameter"):
        GradNorm(BOTH, layer="2.weight").norms(losses, network)


JACOBIANS = {
    "in agreement": [[1.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.25, 0.5, 2.0]],
    "in conflict": [[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0], [1.0, -2.0, 0.5]],
    "of different sizes": [[-8.0, 1.0, 1.0], [0.6, 0.1, 0.4], [1.0, -2.0, 0.5]],
}
AGGREGATORS = {
    "mgda": lambda: aggregation.MGDA(1e-7, 5000),  # its solver's end point
    "pcgrad": aggregation.PCGrad,
    "cagrad": lambda: aggregation.CAGrad(0.5),
    "nash_mtl": lambda: aggregation.NashMTL(3),
    "imtl_g": aggregation.IMTLG,
    "aligned_mtl": aggregation.AlignedMTL,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rows", JACOBIANS.values(), ids=JACOBIANS.keys())
@pytest.mark.parametrize("name", [name for name in AGGREGATORS if name not in MISSING])
def test_the_combined_gradient_is_torchjds(name: str, rows: list[list[float]]) -> None:
    jacobian, network, weighting = torch.tensor(rows), Linear(3), WEIGHTINGS[name](KINDS)
    assert isinstance(weighting, GradientWeighting)
    torch.manual_seed(0)
    wanted = AGGREGATORS[name]()(jacobian) * (3 if weighting.averages else 1)
    torch.manual_seed(0)
    weighting.backward(network.losses(jacobian, KINDS), network, seen(tuple(KINDS), tasks=KINDS))
    torch.testing.assert_close(network.weight.grad[0], wanted, rtol=1e-4, atol=1e-4)


def test_upgrad_gives_the_values_of_its_documentation() -> None:
    jacobian = torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
    network, weighting = Linear(3), WEIGHTINGS["upgrad"](BOTH)
    weighting.backward(network.losses(jacobian, BOTH), network, ALL)
    expected = 2 * torch.tensor([0.2929, 1.9004, 1.9004])  # the documented mean, times two tasks
    torch.testing.assert_close(network.weight.grad[0], expected, rtol=1e-3, atol=1e-3)


def test_mgda_by_hand() -> None:
    # the shortest convex combination of (1, 0) and (0, 2) is 0.8 (1, 0) + 0.2 (0, 2)
    network, weighting = Linear(2), WEIGHTINGS["mgda"](BOTH)
    weighting.backward(network.losses(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), BOTH), network, ALL)
    torch.testing.assert_close(network.weight.grad[0], 2 * torch.tensor([0.8, 0.4]))
    assert {name: round(x.item(), 4) for name, x in weighting.weights.items()} == {"segmentation": 1.6, "depth": 0.4}


def shortest_of_all_faces(gramian: Tensor) -> Tensor:
    """On each face of the simplex the shortest of the affine hull, G w = 1 scaled; the best that is >= 0."""
    found = []
    for size in range(1, len(gramian) + 1):
        for corners in map(list, combinations(range(len(gramian)), size)):
            part = torch.linalg.solve(gramian[corners][:, corners], gramian.new_ones(size))
            weights = gramian.new_zeros(len(gramian))
            weights[corners] = part / part.sum()
            if (weights >= 0).all():
                found.append((float(weights @ gramian @ weights), weights))
    return min(found, key=lambda pair: pair[0])[1]


@pytest.mark.parametrize("count", [2, 3])
def test_mgda_finds_the_exact_minimum(count: int) -> None:
    random = torch.Generator().manual_seed(0)
    sizes = torch.tensor([1.0, 0.3, 2.0], dtype=torch.float64)[:count, None]
    on_faces = set()
    for _ in range(100):
        rows = sizes * torch.randn((count, 10), generator=random, dtype=torch.float64) + 0.3
        wanted = shortest_of_all_faces(rows @ rows.T)
        torch.testing.assert_close(shortest_combination(rows @ rows.T), wanted, rtol=0, atol=1e-9)
        on_faces.add(int((wanted > 0).sum()))
    assert on_faces == set(range(1, count + 1))  # one gradient alone, two, and all of them were right


def test_mgda_takes_gradients_that_cancel_or_are_the_same() -> None:
    assert shortest_combination(torch.tensor([[1.0, -1.0], [-1.0, 1.0]])).tolist() == pytest.approx([0.5, 0.5])
    same = shortest_combination(torch.ones(3, 3))
    assert same.sum().item() == pytest.approx(1)
    assert (same >= 0).all()


def test_nash_mtl_weighs_heads_too_and_shortens_the_shared_step_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Solver:
        """Weights of 2 and 3, whatever the gradients."""

        def __init__(self, count: int, max_norm: float, optim_niter: int) -> None:
            assert max_norm == 0
            self.weighting, self.prvs_alpha = self, torch.ones(count).numpy()

        def __call__(self, matrix: Tensor) -> Tensor:
            return torch.tensor([2.0, 3.0])

    monkeypatch.setattr("mtpsl.weighting.nash_mtl.require_packages", lambda *names: None)
    monkeypatch.setattr("mtpsl.weighting.nash_mtl.Bargaining", Solver)
    for max_norm, shared in [(0.0, [6.0, 12.0]), (1.0, [6 / 180**0.5, 12 / 180**0.5]), (100.0, [6.0, 12.0])]:
        network = nn.ParameterDict({"body": nn.Parameter(torch.ones(2)), "a": nn.Parameter(torch.ones(()))})
        network["b"] = nn.Parameter(torch.ones(()))
        body = network["body"]
        losses = Losses({"segmentation": 3 * body[0] * network["a"], "depth": 4 * body[1] * network["b"]})
        NashMTL(BOTH, max_norm=max_norm).backward(losses, network, ALL)
        assert body.grad.tolist() == pytest.approx(shared)
        assert [network[name].grad.item() for name in "ab"] == pytest.approx([2 * 3, 3 * 4])


def test_a_loss_that_is_no_number_does_not_stay_the_first_one_of_gradnorm() -> None:
    network, weighting = Linear(2), GradNorm(BOTH)
    rows = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    for offset in (float("nan"), 2.0):
        weighting.backward(network.losses(rows, BOTH, offset), network, ALL)
    assert weighting.initial.tolist() == [2.0, 2.0]


def test_pcgrad_by_hand() -> None:
    # (1, 0) and (-1, 1): the first less its part along the second is (0.5, 0.5), the second less its first (0, 1)
    network, weighting = Linear(2), WEIGHTINGS["pcgrad"](BOTH)
    weighting.backward(network.losses(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), BOTH), network, ALL)
    torch.testing.assert_close(network.weight.grad[0], torch.tensor([0.5, 1.5]))


@pytest.mark.parametrize("scale", [1e-6, 1e4])
@pytest.mark.parametrize("name", [n for n in AGGREGATORS if n not in MISSING | {"nash_mtl"}] + ["upgrad"])
def test_the_size_of_gradients_does_not_change_how_they_are_weighed(name: str, scale: float) -> None:
    found = []
    for factor in (1.0, scale):
        network, weighting = Linear(3), WEIGHTINGS[name](KINDS)
        torch.manual_seed(0)
        rows = factor * torch.tensor(JACOBIANS["in conflict"])
        weighting.backward(network.losses(rows, KINDS), network, seen(tuple(KINDS), tasks=KINDS))
        found.append(torch.stack([*weighting.weights.values()]))
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", [n for n in WEIGHTINGS if n not in MISSING])
def test_a_task_whose_gradient_is_zero_does_not_stop_the_others(name: str) -> None:
    network, weighting = Linear(2), WEIGHTINGS[name](BOTH)
    weighting.backward(network.losses(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), BOTH), network, ALL)
    direction = network.weight.grad[0] / network.weight.grad[0].norm()
    torch.testing.assert_close(direction, torch.tensor([0.6, 0.8]))
