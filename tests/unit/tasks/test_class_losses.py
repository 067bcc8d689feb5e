"""Class weights, label smoothing and Dice: values by hand, and independent implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight

from mtpsl.data.formats import HumanPartsFormat, SegmentationFormat
from mtpsl.tasks import HumanParts, Segmentation, describe_task, make_task
from mtpsl.tasks.class_losses import balanced_weights, dice_loss

# Pixel 1: probabilities 1/4 and 3/4, label 1; pixel 2: one half each, label 0; pixel 3 does not count.
PREDICTION = torch.tensor([[[[0.0, 7.0, 50.0]], [[math.log(3), 7.0, -50.0]]]])
TARGET, VALID = torch.tensor([[[1, 0, 255]]]), torch.tensor([[[True, True, False]]])
PLAIN = (math.log(4 / 3) + math.log(2)) / 2


def loss(**options: object) -> float:
    return float(Segmentation(num_classes=2, **options).loss(PREDICTION, TARGET, VALID))  # type: ignore[arg-type]


def test_losses_of_known_probabilities_are_those_worked_out_by_hand() -> None:
    assert loss(class_weights=[0.5, 3]) == pytest.approx((3 * math.log(4 / 3) + 0.5 * math.log(2)) / 2)
    smoothed = (0.9 * math.log(4 / 3) + 0.1 * math.log(4) + math.log(2)) / 2
    assert loss(label_smoothing=0.2) == pytest.approx(smoothed)
    # Dice of class 0: 2 * 1/2 over 3/4 + 1; of class 1: 2 * 3/4 over 5/4 + 1.
    assert loss(dice=2) == pytest.approx(PLAIN + 2 * ((1 - 4 / 7) + (1 - 2 / 3)) / 2)


def test_weights_of_one_change_nothing_at_all() -> None:
    random = torch.Generator().manual_seed(0)
    prediction = torch.randn((2, 4, 9, 8), generator=random)
    target, valid = torch.randint(0, 4, (2, 9, 8), generator=random), torch.rand((2, 9, 8), generator=random) > 0.3
    plain, weighted = (Segmentation(num_classes=4, class_weights=weights) for weights in (None, [1] * 4))
    assert torch.equal(plain.loss(prediction, target, valid), weighted.loss(prediction, target, valid))


def test_dice_of_hard_predictions_is_one_minus_the_f1_score_of_the_classes_that_are_shown() -> None:
    random = torch.Generator().manual_seed(1)
    predicted, target = (torch.randint(0, 4, (1, 12, 13), generator=random) for _ in range(2))
    valid = torch.rand((1, 12, 13), generator=random) > 0.4
    hard = torch.nn.functional.one_hot(predicted, 6).movedim(-1, 1).float()  # classes 4 and 5 are nowhere
    score = f1_score(target[valid].numpy(), predicted[valid].numpy(), average="macro", labels=range(4))
    assert float(dice_loss(hard, target.masked_fill(~valid, 255), valid)) == pytest.approx(1 - score, abs=1e-6)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.repeat([0, 1, 3], [70, 20, 10])
    expected = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    found = balanced_weights(torch.bincount(torch.from_numpy(labels), minlength=4))
    assert [found[0], found[1], found[3]] == pytest.approx(expected.tolist())
    assert found[2] == 1
    assert sum(n * w for n, w in zip((70, 20, 10), (found[0], found[1], found[3]), strict=True)) == pytest.approx(100)


def test_balanced_weights_have_to_be_counted_before_training() -> None:
    task = HumanParts(class_weights="balanced", dice=0.5)
    assert describe_task(make_task(describe_task(task))) == describe_task(task)
    with pytest.raises(ValueError, match="human_parts: class_weights should be numbers in training"):
        task.loss(torch.zeros(1, 7, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long), torch.ones(1, 2, 2) > 0)
    counted = task.balanced(torch.tensor([7, 1, 1, 1, 1, 1, 2]))
    assert type(counted) is HumanParts
    assert counted.class_weights == pytest.approx([14 / 49, 2, 2, 2, 2, 2, 1])
    assert counted.dice == 0.5


WRONG = [
    ({"class_weights": [1, 2]}, "`class_weights` should have 3 numbers, one for each class, not 2"),
    ({"class_weights": [1, -2, 1]}, "`class_weights` should hold no negative number and not only 0, not [1, -2, 1]"),
    ({"class_weights": [0, 0, 0]}, "not only 0"),
    ({"class_weights": [1, "a", 2]}, "`class_weights` should hold no negative number"),
    ({"class_weights": "even"}, "`class_weights` should be balanced or a list of numbers, not even"),
    ({"class_weights": 3}, "`class_weights` should be balanced or a list of numbers, not 3"),
    ({"label_smoothing": 1}, "`label_smoothing` should be a number from 0 to below 1, not 1"),
    ({"label_smoothing": "some"}, "`label_smoothing` should be a number"),
    ({"dice": -1}, "`dice` should be a weight of 0 or more, not -1"),
    ({"dice": True}, "`dice` should be a weight of 0 or more, not True"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_options_that_mean_nothing_are_refused_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        SegmentationFormat(3, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_task_refuses_them_under_its_name() -> None:
    with pytest.raises(ValueError, match="parts: `class_weights` should have 7 numbers, one for each class, not 2"):
        HumanParts("parts", class_weights=[1, 2])
    with pytest.raises(ValueError, match="segmentation: `dice` should be a weight of 0 or more, not -1"):
        Segmentation(num_classes=3, dice=-1)


def test_a_description_gives_the_losses_to_the_task() -> None:
    options = {"class_weights": [1.0, 2.0, 4.0], "label_smoothing": 0.1, "dice": 0.5}
    assert options.items() <= SegmentationFormat(3, **options).task("segmentation").options().items()
    parts = HumanPartsFormat(class_weights="balanced").task("parts")
    assert parts.options()["class_weights"] == "balanced"
