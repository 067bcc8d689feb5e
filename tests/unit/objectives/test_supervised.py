"""Eq. 1."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from builders import LABELS, batch, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import LossOptions, SingleTask, Supervised, supervised_losses
from mtpsl.tasks import Depth, Normals


def test_equation_1_by_hand() -> None:
    data = batch([("depth", "normals"), ("depth",), ()], holes=False)
    some = [Depth(), Normals()]
    predictions = {"depth": data.targets["depth"] + 2.0, "normals": -data.targets["normals"]}
    losses = supervised_losses(some, predictions, data)
    # image 0: (2 + 2) / 2, image 1: 2; two images have labels
    assert losses["depth"].item() == pytest.approx((2 / 2 + 2) / 2)
    assert losses["normals"].item() == pytest.approx((2 / 2) / 2)
    summed = supervised_losses(some, predictions, data, "sum", {"depth": 3.0})
    assert summed["depth"].item() == pytest.approx(3 * (2 + 2) / 2)
    assert summed["normals"].item() == pytest.approx(2 / 2)


def test_predicted_labels_count_as_much_as_is_said() -> None:
    data = batch([("depth", "normals"), ("depth",), ("normals",), ()], holes=False)
    marks = {"depth": [False, True, False, False], "normals": [True, False, False, False]}
    data = replace(data, predicted={name: torch.tensor(one) for name, one in marks.items()})
    some = [Depth(), Normals()]
    predictions = {"depth": data.targets["depth"] + 2.0, "normals": -data.targets["normals"]}
    losses = supervised_losses(some, predictions, data, predicted_weight=0.25)
    # image 0: depth is given, 1 of 1.25; image 1: depth is predicted, 0.25; three images have labels
    assert losses["depth"].item() == pytest.approx((2 / 1.25 + 0.25 * 2) / 3)
    # image 0: normals are predicted, 0.25 of 1.25; image 2: normals are given
    assert losses["normals"].item() == pytest.approx((0.25 * 2 / 1.25 + 2) / 3)
    summed = supervised_losses(some, predictions, data, "sum", predicted_weight=0.25)
    assert summed["depth"].item() == pytest.approx((2 + 0.25 * 2) / 3)
    alike = supervised_losses(some, predictions, data)
    assert alike["depth"].item() == pytest.approx((2 / 2 + 2) / 3)
    without = supervised_losses(some, predictions, data, predicted_weight=0.0)
    assert without["depth"].item() == pytest.approx(2 / 3)


def test_a_task_without_labels_leaves_its_head_alone() -> None:
    network = SegNet({task.name: task.out_channels for task in tasks()}, width=0.125)
    Supervised(tasks(), network)(network, batch(LABELS["a task with none"])).total().backward()
    assert all(p.grad is None or not p.grad.any() for p in network.heads["normals"].parameters())
    assert any(p.grad is not None and p.grad.any() for p in network.heads["depth"].parameters())


def test_the_single_task_baseline_takes_one_task() -> None:
    network = SegNet({"depth": 1}, width=0.125)
    assert SingleTask([Depth()], network)(network, batch([("depth",)])).total() > 0
    with pytest.raises(ValueError, match="exactly 1"):
        SingleTask(tasks(), network)


def test_weights_of_unknown_tasks_are_refused() -> None:
    network = SegNet({"depth": 1}, width=0.125)
    with pytest.raises(ValueError, match="deph"):
        Supervised([Depth()], network, losses=LossOptions(task_weights={"deph": 1.0}))


def test_the_single_task_baseline_can_average_over_the_whole_batch() -> None:
    network = SegNet({"depth": 1}, width=0.125).eval()
    data = batch([("depth",), (), (), ("depth",)])
    over_labelled = SingleTask([Depth()], network)(network, data).total()
    over_all = SingleTask([Depth()], network, average="batch")(network, data).total()
    assert over_all.item() == pytest.approx(over_labelled.item() * 2 / 4)
