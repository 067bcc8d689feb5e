"""Gradients of a second loss, made as large as those of the labels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from builders import batch, make_objective, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency
from mtpsl.objectives.balance import GradientBalance
from mtpsl.structures import Output


class Fixed(nn.Module):
    """A network that always says the same."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.output = output

    def forward(self, images: Tensor) -> Output:
        return self.output


def test_the_second_step_scales_by_the_sizes_that_the_first_measured() -> None:
    """Norms 3 and 4 of two labelled images (rms 5 / sqrt 2), 0.5 of one image of the other loss without its weight."""
    balance = GradientBalance(["depth"])
    slopes = torch.tensor([3.0, 4.0]).view(2, 1, 1, 1)
    weight = 0.1
    for step in range(2):
        prediction = torch.zeros(2, 1, 1, 1, requires_grad=True)
        watched, scaled = balance.watch({"depth": prediction}), balance.scale({"depth": prediction}, weight)
        other = weight * 0.5 * scaled["depth"][0].sum()
        (both,) = torch.autograd.grad((slopes * watched["depth"]).sum() + other, prediction)
        factor = 1.0 if step == 0 else (5 / 2**0.5) / 0.5
        torch.testing.assert_close(both.flatten(), torch.tensor([3 + 0.05 * factor, 4.0]))


def test_what_was_not_seen_is_not_scaled() -> None:
    balance = GradientBalance(["depth", "normals"])
    assert balance.factors().tolist() == [1.0, 1.0]
    balance.supervised += 1
    assert balance.factors().tolist() == [1.0, 1.0]


def test_with_balance_the_term_asks_as_much_of_a_prediction_as_the_labels_do() -> None:
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in tasks()}, width=0.125)
    objective = make_objective(CrossTaskConsistency, tasks(), network, views=1, width=0.125, balance=True, weight=0.5)
    data = batch([("segmentation",), ("depth",), ("normals",)] * 2)
    sizes = {}
    for step in range(2):  # the first measures
        torch.manual_seed(1)
        output = network(data.images)
        kept = {name: x.detach().requires_grad_() for name, x in output.predictions.items()}
        output.predictions.update(kept)
        objective(Fixed(output), data).total().backward()
        norm = {name: x.grad.flatten(1).norm(dim=1) for name, x in kept.items() if x.grad is not None}
        for name in norm:
            labelled = data.labelled(name)
            rms = [norm[name][rows].square().mean().sqrt().item() for rows in (labelled, ~labelled)]
            sizes[step, name] = rms[1] / rms[0]
    for name in ("segmentation", "depth", "normals"):
        assert sizes[1, name] == pytest.approx(0.5, rel=0.25)
        assert sizes[0, name] != pytest.approx(0.5, rel=0.25)


def test_a_gradient_that_is_no_number_does_not_stay() -> None:
    balance = GradientBalance(["depth"])
    for slope in (float("nan"), float("inf"), 2.0):
        prediction = torch.zeros(1, 1, 1, 1, requires_grad=True)
        watched, scaled = balance.watch({"depth": prediction}), balance.scale({"depth": prediction}, 1.0)
        (slope * watched["depth"] + 3 * scaled["depth"]).sum().backward()
    balance.collect()
    assert balance.supervised[:, 0].tolist() == [4.0, 1.0]
    assert balance.factors().item() == pytest.approx(2 / 3)


def test_the_state_of_an_epochs_end_holds_its_last_step() -> None:
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in tasks()}, width=0.125)
    objective = make_objective(CrossTaskConsistency, tasks(), network, views=1, width=0.125, balance=True)
    objective(network, batch([("segmentation",), ("depth",), ("normals",)])).total().backward()
    assert not objective.state_dict()["balance.other"].any()
    objective.end_epoch()
    assert objective.state_dict()["balance.other"].all()
