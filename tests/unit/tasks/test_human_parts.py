from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mtpsl.tasks import HumanParts, describe_task, make_task
from mtpsl.tasks.human_parts import PART_NAMES


def test_there_are_seven_named_classes_with_colors_of_their_own() -> None:
    task = HumanParts()
    assert task.name == "human_parts"
    assert task.out_channels == task.num_classes == 7
    assert task.class_names == [
        "background",
        "head",
        "torso",
        "upper arm",
        "lower arm",
        "upper leg",
        "lower leg",
    ]
    apart = torch.cdist(task.colors, task.colors) + 9 * torch.eye(7)
    assert apart.min() > 0.2
    assert task.colors.amax(1).min() > 0.1  # none is the black of what is not valid


def test_public_code_counts_an_absent_part_as_zero() -> None:
    target = torch.tensor([[[0, 0, 1, 1]]])
    prediction = F.one_hot(torch.tensor([[[0, 0, 1, 0]]]), 7).movedim(-1, 1).float()
    for absent, count in (("skip", 2), ("zero", 7)):
        metric = HumanParts(absent=absent).metric()  # type: ignore[arg-type]
        metric.update(prediction, target, torch.ones(1, 1, 4, dtype=torch.bool))
        assert float(metric.compute()["miou"]) == pytest.approx(100 * (2 / 3 + 1 / 2) / count)


def test_other_parts_may_be_named() -> None:
    task = HumanParts("body", num_classes=3, class_names=["none", "upper", "lower"], absent="zero")
    again = make_task(describe_task(task))
    assert isinstance(again, HumanParts)
    assert (again.name, again.class_names, again.absent) == ("body", ["none", "upper", "lower"], "zero")
    torch.testing.assert_close(again.colors, task.colors, atol=1 / 255, rtol=0)
    renamed = HumanParts(class_names=[name.upper() for name in PART_NAMES])
    assert renamed.class_names[1] == "HEAD"
    assert torch.equal(renamed.colors, HumanParts().colors)
