from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, jaccard_score, precision_recall_fscore_support
from torch import Tensor

from mtpsl.tasks import Saliency


def logits(*probabilities: float) -> Tensor:
    """A prediction of one row."""
    return torch.tensor(probabilities, dtype=torch.float64).logit().view(1, 1, 1, -1)


def labels(*salient: float) -> Tensor:
    return torch.tensor(salient, dtype=torch.float64).view(1, 1, 1, -1)


def everywhere(target: Tensor) -> Tensor:
    return torch.ones_like(target[:, 0], dtype=torch.bool)


def scores(*updates: tuple[Tensor, Tensor, Tensor]) -> dict[str, float]:
    metric = Saliency().metric()
    for update in updates:
        metric.update(*update)
    return {name: float(value) for name, value in metric.compute().items()}


def test_each_pixel_weighs_the_share_of_the_other_class() -> None:
    # One salient pixel of four that count: it weighs 3/4, the others 1/4 each; the last pixel does not count.
    prediction, target = logits(0.5, 0.75, 0.5, 0.5, 0.99), labels(1, 0, 0, 0, 1)
    valid = torch.tensor([[[True, True, True, True, False]]])
    expected = (0.75 * math.log(2) + 0.25 * (math.log(4) + 2 * math.log(2))) / 4
    assert Saliency().loss(prediction, target, valid).tolist() == pytest.approx([expected])


def test_the_weights_of_an_image_do_not_depend_on_the_others() -> None:
    prediction = torch.cat((logits(0.5, 0.5), logits(0.5, 0.75)))
    target = torch.cat((labels(0, 0), labels(1, 0)))
    loss = Saliency().loss(prediction, target, everywhere(target))
    assert loss.tolist() == pytest.approx([0, (0.5 * math.log(2) + 0.5 * math.log(4)) / 2])


@pytest.mark.parametrize("salient", [0.0, 1.0])
def test_an_image_of_one_class_has_loss_and_gradient_zero(salient: float) -> None:
    prediction = torch.tensor([[[[1e4, -1e4, 0.3]]]], requires_grad=True)
    target = torch.full_like(prediction, salient).detach()
    loss = Saliency().loss(prediction, target, everywhere(target))
    loss.sum().backward()
    assert loss.tolist() == [0]
    assert prediction.grad is not None
    assert prediction.grad.tolist() == [[[[0, 0, 0]]]]


def test_large_predictions_give_finite_losses() -> None:
    prediction, target = torch.tensor([[[[1e4, -1e4]]]]), labels(0, 1).float()
    assert Saliency().loss(prediction, target, everywhere(target)).tolist() == [5e3]


def test_scores_worked_out_by_hand() -> None:
    # First image, label 1 1 0 0. Above 0.3: three predicted, two right; above 0.5: two and one; above 0.8: one and one.
    first = (logits(0.9, 0.4, 0.6, 0.1), labels(1, 1, 0, 0))
    # Second image, label 1 0 0 0: above 0.3 and 0.5 two predicted, one right; above 0.8 none.
    second = (logits(0.7, 0.7, 0.2, 0.1), labels(1, 0, 0, 0))
    found = scores(*((prediction, target, everywhere(target)) for prediction, target in (first, second)))
    # At one half: right 2, wrong 2, missed 1; not salient: right 3, wrong 1, missed 2.
    assert found["miou"] == pytest.approx(100 * (2 / 5 + 3 / 6) / 2)
    # Below 0.4: precisions 2/3 and 1/2, recalls 1 and 1. Below 0.6: 1/2 and 1/2, 1/2 and 1. Below 0.7: 1, 1/2; 1/2, 1.
    measures = [1.3 * p * r / (0.3 * p + r) for p, r in ((7 / 12, 1), (1 / 2, 3 / 4), (3 / 4, 3 / 4), (1 / 2, 1 / 4))]
    assert found["maxf"] == pytest.approx(100 * max(measures))
    # Overlaps below 0.4: 2/3 and 1/2; 0.4 to 0.6: 1/3 and 1/2; 0.6 to 0.7: 1/2 and 1/2; to 0.9: 1/2 and 0.
    assert found["image_iou"] == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)


def random_updates() -> list[tuple[Tensor, Tensor, Tensor]]:
    random = torch.Generator().manual_seed(0)
    updates = []
    for count, share in ((1, 0.1), (2, 0.5)):
        target = (torch.rand((count, 1, 9, 11), generator=random) < share).float()
        prediction = torch.randn((count, 1, 9, 11), generator=random) + 2 * target - 0.7
        valid = torch.rand((count, 9, 11), generator=random) > 0.3
        updates.append((prediction, target.masked_fill(~valid[:, None], float("nan")), valid))
    return updates


def test_scores_equal_those_of_scikit_learn() -> None:
    updates = random_updates()
    images = []
    for prediction, target, valid in updates:
        for x, y, mask in zip(prediction, target, valid, strict=True):
            images.append((x[0][mask].double().sigmoid().numpy(), y[0][mask].numpy().astype(int)))
    probability, truth = (np.concatenate(some) for some in zip(*images, strict=True))
    metric = Saliency().metric()
    for update in updates:
        metric.update(*update)
    assert (metric.confusion.numpy() == confusion_matrix(truth, probability > 0.5)).all()
    found = metric.compute()
    assert float(found["miou"]) == pytest.approx(100 * jaccard_score(truth, probability > 0.5, average="macro"))

    measures = []
    for step in range(1, 100):
        each = [
            precision_recall_fscore_support(y, p > step / 100, average="binary", zero_division=0)[:2] for p, y in images
        ]
        precision, recall = np.mean(each, axis=0)
        measures.append(1.3 * precision * recall / (0.3 * precision + recall) if recall else 0)
    assert float(found["maxf"]) == pytest.approx(100 * max(measures))
    overlaps = [
        np.mean([jaccard_score(y, p > step / 100, zero_division=0) for p, y in images]) for step in range(20, 91, 5)
    ]
    assert float(found["image_iou"]) == pytest.approx(100 * max(overlaps))


def test_a_probability_of_a_threshold_is_not_above_it() -> None:
    target = labels(1, 0)
    assert scores((logits(0.5, 0.1), target, everywhere(target)))["miou"] == pytest.approx(100 * (0 + 1 / 2) / 2)
    above = torch.tensor([[[[1e-6, -2.0]]]])
    assert scores((above, target, everywhere(target)))["miou"] == 100


def test_images_that_show_nothing_salient() -> None:
    nothing = labels(0, 0)
    found = scores((logits(0.001, 0.002), nothing, everywhere(nothing)))
    assert found == {"miou": 100, "maxf": 0, "image_iou": 100}  # the salient class is absent, and so skipped
    found = scores((logits(0.999, 0.001), nothing, everywhere(nothing)))
    assert found == {"miou": 25, "maxf": 0, "image_iou": 0}


def test_an_image_without_a_valid_pixel_and_nan_change_nothing() -> None:
    update = (logits(0.9, 0.2, 0.6), labels(1, 0, 0), torch.ones(1, 1, 3, dtype=torch.bool))
    unlabelled = (torch.full_like(update[0], float("nan")), update[1], ~update[2])
    assert scores(update, unlabelled) == scores(update)
    as_zero = (torch.tensor([[[[2.0, float("nan"), 1.0]]]]), *update[1:])
    assert scores(as_zero) == scores((torch.tensor([[[[2.0, -99.0, 1.0]]]]), *update[1:]))


def test_the_form_of_predictions() -> None:
    prediction = logits(0.25, 0.75)
    for values in (
        Saliency().decode(prediction),
        Saliency().soft(prediction),
        Saliency().encode_prediction(prediction),
    ):
        assert values.flatten().tolist() == pytest.approx([0.25, 0.75])
    drawn = Saliency().colorize(labels(1, 0).float())
    assert drawn[0, :, 0, 0].tolist() == [1, 1, 1]
    assert 0 < drawn[0, :, 0, 1].max() < 0.3
