from __future__ import annotations

import math

import pytest
import torch

from mtpsl.tasks import Edges, describe_task, make_task
from mtpsl.tasks.processes import usable_cores


def test_the_loss_weighs_boundaries_095_and_the_rest_005() -> None:
    # Probabilities 1/2 on a boundary, 3/4 beside one; the third pixel does not count.
    prediction = torch.tensor([[[[0.0, math.log(3), 40.0]]]])
    target, valid = torch.tensor([[[[1.0, 0.0, 0.0]]]]), torch.tensor([[[True, True, False]]])
    loss = Edges().loss(prediction, target, valid)
    assert loss.tolist() == pytest.approx([(0.95 * math.log(2) + 0.05 * math.log(4)) / 2])
    other = Edges(positive_weight=0.7).loss(prediction, target, valid)
    assert other.tolist() == pytest.approx([(0.7 * math.log(2) + 0.3 * math.log(4)) / 2])


def test_large_predictions_give_finite_losses() -> None:
    prediction = torch.tensor([[[[1e4, -1e4]]]])
    loss = Edges().loss(prediction, torch.tensor([[[[0.0, 1.0]]]]), torch.ones(1, 1, 2, dtype=torch.bool))
    assert loss.tolist() == pytest.approx([(0.05 * 1e4 + 0.95 * 1e4) / 2])


def test_decoded_and_encoded_predictions_are_probabilities() -> None:
    prediction = torch.tensor([[[[-math.log(3), 0.0, math.log(3)]]]])
    for values in (Edges().decode(prediction), Edges().encode_prediction(prediction)):
        assert values.flatten().tolist() == pytest.approx([0.25, 0.5, 0.75])


def test_the_encoded_label_is_one_on_valid_boundaries_and_zero_elsewhere() -> None:
    target = torch.tensor([[[[1.0, 0.0, 1.0, float("nan")]]]])
    encoded = Edges().encode_target(target, torch.tensor([[[True, True, False, False]]]))
    assert encoded.flatten().tolist() == [1, 0, 0, 0]


def test_the_metric_takes_its_options_from_the_task() -> None:
    metric = Edges(tolerance=0.02, thresholds=7, nms=True, workers=3).metric()
    assert (metric.tolerance, metric.thresholds, metric.nms, metric.workers) == (0.02, 7, True, 3)
    assert Edges().metric().nms is False
    assert Edges().metric().workers == usable_cores()
    again = make_task(describe_task(Edges(nms=True, workers=3)))
    assert again.options() == Edges(nms=True, workers=3).options()


def test_boundaries_are_drawn_white() -> None:
    colors = Edges().colorize(torch.tensor([[[[1.0, 0.0]]]]))
    assert colors[0, :, 0, 0].tolist() == [1, 1, 1]
    assert colors[0, :, 0, 1].max() < 0.3


@pytest.mark.parametrize("weight", [0.0, 1.0, 1.5])
def test_a_weight_outside_0_to_1_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="positive_weight should lie between 0 and 1, not"):
        Edges(positive_weight=weight)
