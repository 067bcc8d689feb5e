"""Labels made of several predictions, and which of their pixels count."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mtpsl.tasks import Depth, Edges, MultiLabel, Normals, Regression, Segmentation, Task
from mtpsl.tasks.pseudo_labels import (
    BINS,
    Certainty,
    Confidence,
    Judged,
    agree,
    both_views,
    judge,
    number_of_groups,
)


def row(*pixels: float | list[float]) -> Tensor:
    """One image of one line: pixels with one channel or with several."""
    values = torch.tensor([[p] if isinstance(p, float) else p for p in pixels])
    return values.T[None, :, None]


def test_a_class_is_the_likeliest_of_the_mean_of_both_pictures() -> None:
    shares = [[0.9, 0.1], [0.3, 0.7]], [[0.6, 0.4], [0.8, 0.2]]
    one, other = (row(*pixels).log() for pixels in shares)
    judged = judge(Segmentation(num_classes=2), one, other)
    # the mirror image's last pixel lies over the first: (0.9 + 0.8) / 2 and (0.7 + 0.4) / 2
    torch.testing.assert_close(judged.certainty, torch.tensor([[[0.85, 0.55]]]))
    assert judged.label.tolist() == judged.group.tolist() == [[[0, 1]]]


def test_normals_of_the_mirror_image_are_turned_back() -> None:
    one = row([0.6, 0.0, 0.8], [0.0, 0.0, 1.0])
    other = row([0.0, 0.0, 2.0], [-1.2, 0.0, 1.6])  # flipped: left is right, x is negated; lengths say nothing
    judged = judge(Normals(), one, other)
    torch.testing.assert_close(judged.label, one)
    torch.testing.assert_close(judged.certainty, torch.ones(1, 1, 2))
    turned = judge(Normals(), one, one.flip(-1))  # as if x had not been negated
    assert turned.certainty[0, 0].tolist() == pytest.approx([1 - 0.6, 1.0])  # |(1.2, 0, 0)| / 2
    assert turned.label[0, :, 0, 0].tolist() == pytest.approx([0.0, 0.0, 1.0])


def test_numbers_are_sure_where_both_pictures_agree() -> None:
    judged = judge(Depth(), row(3.0, -1.0), row(-2.0, 1.0))
    assert judged.label.flatten().tolist() == pytest.approx([2.0, 0.0])  # nothing is behind the camera
    assert judged.certainty.flatten().tolist() == pytest.approx([1 - 2 / 4, 1 - 1 / 3])
    flow = judge(Regression("flow", channels=2, vector="image"), row([3.0, 4.0]), row([-3.0, 4.0]))
    assert flow.certainty.item() == pytest.approx(1.0)
    assert judge(Regression(), row(0.0), row(0.0)).certainty.item() == 1
    assert judge(Regression(range=(0, 1)), row(3.0), row(1.0)).label.item() == 1


def test_edges_stay_probabilities() -> None:
    judged = judge(Edges(), row(0.9, 0.2).logit(), row(0.4, 0.7).logit())
    assert judged.label.flatten().tolist() == pytest.approx([0.8, 0.3])
    assert judged.certainty.flatten().tolist() == pytest.approx([0.8, 0.7])
    assert judged.group.flatten().tolist() == [1, 0]
    both = MultiLabel(class_names=["a", "b"])
    judged = judge(both, row([0.1, 0.9], [0.4, 0.3]).logit(), row([0.4, 0.3], [0.1, 0.9]).logit())
    assert judged.group.flatten().tolist() == [2, 0]
    assert judged.certainty.flatten().tolist() == pytest.approx([0.9, 0.6])


def test_several_networks_are_averaged_and_are_sure_where_they_differ_little() -> None:
    views = [both_views(Depth(), row(2.0, 4.0), row(4.0, 4.0)), both_views(Depth(), row(2.0, 8.0), row(8.0, 4.0))]
    judged = agree(Depth(), [*views[0], *views[1]])  # the pixels: 2, 4, 2, 4 and 4, 4, 8, 8
    assert judged.label.flatten().tolist() == [3.0, 6.0]
    assert judged.certainty.flatten().tolist() == pytest.approx([1 - 4 / 12, 1 - 8 / 24])
    one, other, third = ([0.9, 0.1], [0.2, 0.8], [0.1, 0.9])
    judged = agree(Segmentation(num_classes=2), [row(one), row(other), row(third)])
    assert judged.label.item() == 1
    assert judged.certainty.item() == pytest.approx(0.6)


def test_each_network_of_edges_leaves_out_its_own_weight() -> None:
    views = []
    for weight, odds in ((0.9, 9.0), (0.5, 1.0)):  # odds of 1 after what the weight adds
        probability = row(odds / (1 + odds))
        views += both_views(Edges(positive_weight=weight), probability.logit(), probability.logit(), hard=True)
    assert agree(Edges(), views, hard=True).certainty.item() == pytest.approx(0.5, abs=1e-5)


def test_hard_labels_of_edges_leave_out_what_the_weight_of_the_loss_has_added() -> None:
    task = Edges(positive_weight=0.9)
    probability = row(0.9, 0.99, 0.5)  # odds 9, 99 and 1, of which the weight's are 9: 1, 11 and 1/9 are left
    judged = judge(task, probability.logit(), probability.flip(-1).logit(), hard=True)
    assert judged.certainty.flatten().tolist() == pytest.approx([0.5, 11 / 12, 9 / 10], abs=1e-5)
    assert judged.label.flatten().tolist()[1:] == judged.group.flatten().tolist()[1:] == [1.0, 0.0]
    plain = judge(MultiLabel(class_names=["a", "b"]), row([0.9, 0.4]).logit(), row([0.9, 0.4]).logit(), hard=True)
    assert plain.label.flatten().tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("task", "count"),
    [(Segmentation(num_classes=5), 5), (Edges(), 2), (MultiLabel(class_names=["a", "b"]), 3), (Depth(), 1)],
)
def test_classes_are_told_apart(task: Task, count: int) -> None:
    assert number_of_groups(task) == count


def judged(certainty: list[float], group: list[int]) -> Judged:
    return Judged(torch.tensor([[group]]), torch.tensor([[certainty]]), torch.tensor([[group]]))


YES = torch.tensor([True])


def test_the_surest_pixels_of_each_class_count_whatever_their_probability() -> None:
    task = Segmentation(num_classes=3)
    certainty = Certainty([task], Confidence(probability=0.8, class_share=0.5), decay=1.0)
    seen = {"segmentation": judged([0.95, 0.9, 0.85, 0.7, 0.5, 0.3, 0.4], [0, 0, 0, 0, 1, 1, 1])}
    certainty.count(seen, {"segmentation": YES})
    # of class 0 three lie above 0.8, of class 1 half of three pixels are two; class 2 has none
    assert certainty.counts(seen)["segmentation"].flatten().tolist() == [True] * 3 + [False] + [True, False, True]
    alone = Certainty([task], Confidence(probability=0.8, class_share=0.0))
    alone.count(seen, {"segmentation": YES})
    assert alone.counts(seen)["segmentation"].flatten().tolist() == [True] * 3 + [False] * 4


def test_of_numbers_a_share_counts_and_no_probability() -> None:
    certainty = Certainty([Depth()], Confidence(probability=0.0, value_share=0.5))
    seen = {"depth": judged([0.9, 0.99, 0.95, 0.2, math.nan, 1.0], [0] * 6)}
    certainty.count(seen, {"depth": YES})
    assert certainty.counts(seen)["depth"].flatten().tolist() == [False, True, True, False, False, True]


def test_earlier_batches_fade_and_images_that_are_not_wanted_do_not_count() -> None:
    certainty = Certainty([Depth()], Confidence(), decay=0.5)
    for value, wanted in ((0.2, True), (0.4, True), (0.6, False)):
        certainty.count({"depth": judged([value], [0])}, {"depth": torch.tensor([wanted])})
    found = {index: x for index, x in enumerate(certainty.histogram[0].tolist()) if x}
    assert found == {BINS * 2 // 10: 0.25, BINS * 4 // 10: 0.5}
