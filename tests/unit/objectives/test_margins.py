"""Predictions are drawn no nearer than labels of their task are: `extensions.margin labels`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from builders import batch, small_cross_task
from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency
from mtpsl.objectives.distance import cosine_distance
from mtpsl.objectives.mapping.pairs import Pair
from mtpsl.objectives.margins import LabelMargins

ONE_EACH = [("segmentation",), ("depth",), ("normals",)]


def make(**options: object) -> tuple[SegNet, CrossTaskConsistency]:
    network, objective = small_cross_task(**{"margin": "labels", **options})
    return network.eval(), objective


def test_shares_by_hand() -> None:
    margins = LabelMargins(2, decay=0.5)
    first, second = Pair(0, 0, 1), Pair(1, 1, 0)
    margins.update([first, second], torch.tensor([0.8, 0.1]), torch.tensor([0.4, 0.6]), torch.tensor([0.3, 0.1]))
    margins.update([first, second], torch.tensor([0.5, 0.4]), torch.tensor([0.4, 0.3]), torch.tensor([0.6, 0.1]))
    # means: half of the first batch and the second, of a weight of one and a half
    farther, nearer = (0.4 + 0.5) / 1.5, (0.05 + 0.4) / 1.5
    off = {"first": 0.4, "second": (0.3 + 0.3) / 1.5}  # predictions of task 0 and 1 from images
    label_off = {"first": 0.1, "second": (0.15 + 0.6) / 1.5}  # labels of task 0 (the second's target) and 1
    shares = margins.shares()
    assert shares.shape == (2, 3)
    assert shares[0, 1].item() == pytest.approx(1 - nearer / farther)
    assert shares[1, 0] == 0  # its predictions are nearer than the others are
    assert shares[0, 2].item() == pytest.approx(1 - label_off["first"] / off["first"])
    assert shares[1, 2] == 0
    assert label_off["second"] > off["second"]


def test_while_a_limit_is_not_measured_all_of_a_distance_counts() -> None:
    margins = LabelMargins(3)
    assert torch.equal(margins.shares(), torch.ones(3, 4))
    margins.update([Pair(0, 0, 1)], *(torch.tensor([0.5]) for _ in range(3)))
    margins.update([], *(torch.zeros(0) for _ in range(3)))
    assert torch.equal(margins.shares()[:2, :2], torch.ones(2, 2))


def test_a_distance_that_is_not_finite_is_left_out() -> None:
    margins, same = LabelMargins(2), LabelMargins(2)
    values = torch.tensor([0.5, 0.25])
    pairs = [Pair(0, 0, 1), Pair(1, 1, 0)]
    margins.update([*pairs, Pair(2, 0, 1)], *(torch.tensor([*values, torch.nan]) for _ in range(3)))
    same.update(pairs, values, values, values)
    torch.testing.assert_close(margins.shares(), same.shares())


@pytest.mark.parametrize("fit", ["term", "labels"])
def test_the_terms_by_hand(fit: str) -> None:
    network, objective = make(fit=fit, regularizer=0.25, weight=2.0)
    data = batch(ONE_EACH)
    output = network(data.images)
    pairs, share = objective.choose_pairs(data)

    def terms() -> Tensor:
        torch.manual_seed(1)  # predictions of segmentation are sampled
        found = objective.consistency(output.predictions, output.features[-1], data)
        return torch.stack([term for name, term in found.items() if not name.startswith("mapping/")]).sum()

    terms()
    before = {name: x.clone() for name, x in objective.margins.named_buffers()}  # type: ignore[union-attr]
    objective.eval()
    expected = torch.tensor(0.0)
    torch.manual_seed(1)
    source, target = objective.map_pairs(output.predictions, data, pairs)
    shares = objective.margins.shares()  # type: ignore[union-attr]
    for row, pair in enumerate(pairs):
        image = output.features[-1][[pair.image]]
        a, b = source[[row]], target[[row]]
        apart = shares[pair.source, pair.target] * cosine_distance(a, b)
        off = shares[pair.source, -1] * cosine_distance(a, image)
        if fit == "term":
            off = off + cosine_distance(b, image)
        expected = expected + 2.0 * share[row] * (apart + 0.25 * off).sum() / len(data)
    torch.testing.assert_close(terms(), expected, rtol=1e-4, atol=1e-6)
    after = dict(objective.margins.named_buffers())  # type: ignore[union-attr]
    assert all(torch.equal(x, after[name]) for name, x in before.items())  # evaluation counts nothing
    assert (before["predicted"][1].sum(), before["labelled"][1].sum()) == (12, 6)


def test_margins_are_part_of_the_state() -> None:
    network, objective = make()
    data = batch(ONE_EACH)
    output = network(data.images)
    objective.consistency(output.predictions, output.features[-1], data)
    _, other = make()
    other.load_state_dict(objective.state_dict())
    assert torch.equal(other.margins.shares(), objective.margins.shares())  # type: ignore[union-attr]
    assert not any("margins" in name for name in make(margin="none")[1].state_dict())


def test_without_a_pair_nothing_is_counted() -> None:
    network, objective = make()
    data = batch([("segmentation", "depth", "normals"), ()])
    objective(network, data).total().backward()
    assert torch.equal(objective.margins.shares(), torch.ones(3, 4))  # type: ignore[union-attr]
