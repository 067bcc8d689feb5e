from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score
from torchmetrics.classification import MulticlassJaccardIndex

from mtpsl.tasks import Segmentation


def test_the_loss_of_known_probabilities_is_their_negative_logarithm() -> None:
    # Pixel 1: probabilities 1/4 and 3/4, label 1; pixel 2: one half each; pixel 3 does not count.
    prediction = torch.tensor([[[[0.0, 7.0, 50.0]], [[math.log(3), 7.0, -50.0]]]])
    target, valid = torch.tensor([[[1, 0, 255]]]), torch.tensor([[[True, True, False]]])
    loss = Segmentation(num_classes=2).loss(prediction, target, valid)
    assert loss.tolist() == pytest.approx([(math.log(4 / 3) + math.log(2)) / 2])


def test_scores_equal_those_of_scikit_learn() -> None:
    random = torch.Generator().manual_seed(0)
    metric = Segmentation(num_classes=6).metric()
    seen, truths = [], []
    for _ in range(3):
        prediction = torch.randn((2, 6, 9, 11), generator=random)
        prediction[:, 4] = -9  # never predicted, never labelled
        target = torch.randint(0, 4, (2, 9, 11), generator=random)  # 5 is predicted only
        valid = torch.rand((2, 9, 11), generator=random) > 0.4
        metric.update(prediction, target.masked_fill(~valid, 255), valid)
        seen.append(prediction.argmax(1)[valid].numpy())
        truths.append(target[valid].numpy())
    predicted, truth = np.concatenate(seen), np.concatenate(truths)
    assert (metric.confusion.numpy() == confusion_matrix(truth, predicted, labels=range(6))).all()
    values = metric.compute()
    assert float(values["miou"]) == pytest.approx(
        100 * jaccard_score(truth, predicted, labels=[0, 1, 2, 3, 5], average="macro")
    )
    assert float(values["pixel_accuracy"]) == pytest.approx(100 * accuracy_score(truth, predicted))


def test_a_class_absent_from_predictions_and_labels_is_skipped() -> None:
    target = torch.tensor([[[0, 1, 1, 1]]])
    prediction = torch.nn.functional.one_hot(torch.tensor([[[0, 1, 1, 0]]]), 5).permute(0, 3, 1, 2).float()
    metric = Segmentation(num_classes=5).metric()
    metric.update(prediction, target, torch.ones(1, 1, 4, dtype=torch.bool))
    # IoU 1/2 of class 0 and 2/3 of class 1.
    assert float(metric.compute()["miou"]) == pytest.approx(100 * (1 / 2 + 2 / 3) / 2)


def test_a_class_absent_from_predictions_and_labels_counts_as_zero_on_request() -> None:
    random = torch.Generator().manual_seed(0)
    prediction = torch.randn((2, 6, 9, 11), generator=random)
    prediction[:, 4] = -9  # never predicted, never labelled
    target = torch.randint(0, 4, (2, 9, 11), generator=random)
    metric = Segmentation(num_classes=6, absent="zero").metric()
    metric.update(prediction, target, torch.ones(2, 9, 11, dtype=torch.bool))
    oracle = MulticlassJaccardIndex(6, average="none")(prediction, target)
    assert oracle[4] == 0
    assert float(metric.compute()["miou"]) == pytest.approx(100 * float(oracle.mean()))


def test_the_encoded_prediction_is_one_hot_and_lets_gradients_through() -> None:
    torch.manual_seed(0)
    prediction = torch.randn(2, 5, 6, 7, requires_grad=True)
    encoded = Segmentation(num_classes=5).encode_prediction(prediction)
    torch.testing.assert_close(encoded.amax(1), torch.ones(2, 6, 7))
    torch.testing.assert_close(encoded.sum(1), torch.ones(2, 6, 7))
    (encoded * torch.randn(2, 5, 6, 7)).sum().backward()
    assert prediction.grad is not None
    assert (prediction.grad != 0).all()


def test_the_encoded_prediction_is_sampled_with_the_softmax_probabilities() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([0.0, 1.0, 2.0]).view(1, 3, 1, 1)
    encoded = Segmentation(num_classes=3).encode_prediction(logits.expand(1, 3, 100, 100))
    torch.testing.assert_close(encoded.mean((0, 2, 3)), logits.softmax(1).flatten(), atol=0.02, rtol=0)


def test_the_encoded_label_is_one_hot_and_zero_where_not_valid() -> None:
    target = torch.tensor([[[2, 0, 255]]])
    encoded = Segmentation(num_classes=3).encode_target(target, torch.tensor([[[True, True, False]]]))
    assert encoded[0, :, 0].T.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_every_class_has_its_own_color() -> None:
    for task in (Segmentation(num_classes=41), Segmentation(num_classes=2, colors=[[255, 0, 0], [0, 0, 255]])):
        colors = task.colorize(torch.arange(task.num_classes).view(1, 1, -1))[0, :, 0].T
        assert len({tuple(color) for color in (colors * 255).round().int().tolist()}) == task.num_classes
        assert torch.equal(colors, task.colors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, "num_classes should be at least 2, not 1"),
        ({"num_classes": 3, "class_names": ["a"]}, "class_names should have 3 entries, not 1"),
        ({"num_classes": 3, "colors": [[0, 0, 0]]}, "colors should have 3 entries, not 1"),
    ],
)
def test_impossible_classes_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Segmentation("parts", **options)


def test_the_overlap_of_each_class_has_its_name() -> None:
    """Worked out by hand: a is hit once of 2 predicted or labelled, the second b never, c is neither."""
    task = Segmentation(num_classes=4, class_names=["a", "b", "b", "c"])
    metric = task.metric()
    prediction = torch.nn.functional.one_hot(torch.tensor([[[0, 0, 1]]]), 4).permute(0, 3, 1, 2).float()
    metric.update(prediction, torch.tensor([[[0, 2, 1]]]), torch.ones(1, 1, 3, dtype=torch.bool))
    found = task.class_scores(metric)
    assert {name: value for name, value in found.items() if value == value} == {"a": 50.0, "b (1)": 100.0, "b (2)": 0.0}
    assert [*found] == ["a", "b (1)", "b (2)", "c"]
