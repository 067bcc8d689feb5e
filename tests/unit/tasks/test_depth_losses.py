"""Scale-invariant and gradient losses of depth: values by hand, loops in place of tensors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mtpsl.data.formats import DepthFormat
from mtpsl.tasks import Depth
from mtpsl.tasks.depth_losses import gradient_loss, log_ratio

HOLES = torch.tensor([[[True, True, False]]])


def test_the_scale_invariant_error_of_known_ratios_is_that_worked_out_by_hand() -> None:
    # Logarithms differ by 1 and 3: mean square 5, squared mean 4.
    target = torch.tensor([[[[2.0, 0.5, math.nan]]]])
    prediction = target * torch.tensor([math.e, math.e**3, 1.0])
    assert float(Depth(loss="silog").loss(prediction, target, HOLES)) == pytest.approx(5 - 4 / 2)


def test_the_scale_invariant_error_does_not_depend_on_the_unit() -> None:
    random = torch.Generator().manual_seed(0)
    prediction, target = torch.randn((2, 1, 6, 7), generator=random), torch.rand((2, 1, 6, 7), generator=random) + 0.1
    valid = torch.rand((2, 6, 7), generator=random) > 0.3
    task = Depth(loss="silog", gradient=1)
    meters, millimeters = (task.loss(k * prediction, k * target, valid) for k in (1, 1000))
    torch.testing.assert_close(meters, millimeters)


def test_predictions_that_are_not_positive_keep_a_gradient_towards_the_label() -> None:
    prediction = torch.tensor([-1.0, 0.0]).view(2, 1, 1, 1).requires_grad_()
    Depth(loss="silog").loss(prediction, torch.ones(2, 1, 1, 1), torch.ones(2, 1, 1) > 0).sum().backward()
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()
    assert (prediction.grad < 0).all()
    below, above = (log_ratio(torch.tensor([[[0.1 + step]]]), torch.ones(1, 1, 1)) for step in (-1e-5, 1e-5))
    assert float(above - below) == pytest.approx(2e-4, rel=0.05)  # value and slope 10 go on


def test_labels_of_zero_have_no_logarithm_and_are_left_out() -> None:
    target = torch.tensor([[[[1.0, 0.0, math.nan]]], [[[0.0, 0.0, 0.0]]]])
    prediction = torch.full((2, 1, 1, 3), math.e, requires_grad=True)
    loss = Depth(loss="silog", gradient=1).loss(prediction, target, HOLES.expand(2, 1, 3))
    assert loss.tolist() == pytest.approx([0.5, 0])
    loss.sum().backward()
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()
    assert not prediction.grad[:, :, :, 1:].any()


def slow_gradient_loss(difference: np.ndarray, valid: np.ndarray) -> float:
    """Pixel by pixel."""
    total = 0.0
    for step in (1, 2, 4, 8):
        x, seen = difference[::step, ::step], valid[::step, ::step]
        steps = 0.0
        for row in range(x.shape[0]):
            for column in range(x.shape[1]):
                for below, right in ((1, 0), (0, 1)):
                    there = row + below, column + right
                    if there[0] < x.shape[0] and there[1] < x.shape[1] and seen[row, column] and seen[there]:
                        steps += abs(x[there] - x[row, column])
        total += steps / max(seen.sum(), 1)
    return total


def test_the_gradient_loss_is_that_of_a_loop_over_pixels() -> None:
    random = torch.Generator().manual_seed(0)
    difference = torch.randn((3, 13, 18), generator=random)
    valid = torch.rand((3, 13, 18), generator=random) > 0.3
    expected = [slow_gradient_loss(x.numpy(), seen.numpy()) for x, seen in zip(difference, valid, strict=True)]
    assert gradient_loss(difference.masked_fill(~valid, math.nan), valid).tolist() == pytest.approx(expected, rel=1e-5)


def test_a_constant_offset_has_no_gradient_loss() -> None:
    target = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(0)) + 1
    valid = torch.ones(1, 9, 9) > 0
    assert float(Depth(gradient=2).loss(target + 0.5, target, valid)) == pytest.approx(0.5, abs=1e-5)
    # Twice the depth is a constant offset of its logarithm, ln 2.
    silog = Depth(loss="silog", gradient=2).loss(2 * target, target, valid)
    assert float(silog) == pytest.approx(math.log(2) ** 2 / 2, abs=1e-5)


WRONG = [
    ({"loss": "l2"}, "loss"),
    ({"loss": ["l1"]}, "loss"),
    ({"gradient": -0.5}, "gradient"),
    ({"gradient": math.inf}, "gradient"),
]


@pytest.mark.parametrize(("options", "name"), WRONG)
def test_unknown_losses_are_refused_in_one_line(options: dict[str, object], name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` should be") as caught:
        DepthFormat(**options)
    assert "\n" not in str(caught.value)


def test_a_description_gives_the_losses_to_the_task() -> None:
    with pytest.raises(ValueError, match="depth: gradient should be a weight of 0 or more, not -1"):
        Depth(gradient=-1)
    options = DepthFormat(loss="silog", gradient=0.5).task("depth").options()
    assert (options["loss"], options["gradient"]) == ("silog", 0.5)
    for wrong in ({"gradient": "much"}, {"gradient": True}, {"gradient": False}):
        with pytest.raises(ValueError, match="`gradient` should be a positive number"):
            DepthFormat(**wrong)
