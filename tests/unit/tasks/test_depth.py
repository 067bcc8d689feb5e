from __future__ import annotations

import numpy as np
import pytest
import torch

from mtpsl.tasks import Depth


def test_the_loss_is_the_mean_absolute_difference_of_valid_pixels() -> None:
    prediction = torch.tensor([[[[2.0, 1.0, 9.0]]]])
    target, valid = torch.tensor([[[[1.5, 3.0, 0.0]]]]), torch.tensor([[[True, True, False]]])
    assert Depth().loss(prediction, target, valid).tolist() == [1.25]


def test_errors_equal_those_computed_by_numpy_over_all_valid_pixels() -> None:
    random = torch.Generator().manual_seed(0)
    metric = Depth().metric()
    seen, truths = [], []
    for count in (1, 3):  # batches of unequal size: a mean of the batches' errors would be another number
        prediction = torch.rand((count, 1, 8, 9), generator=random) * 5
        target = torch.rand((count, 1, 8, 9), generator=random) * 5 + 0.2
        valid = torch.rand((count, 8, 9), generator=random) > 0.3 * count
        metric.update(prediction, target.masked_fill(~valid[:, None], float("nan")), valid)
        seen.append(prediction[:, 0][valid].numpy())
        truths.append(target[:, 0][valid].numpy())
    predicted, truth = np.concatenate(seen).astype(float), np.concatenate(truths).astype(float)
    values = {name: float(x) for name, x in metric.compute().items()}
    assert values == pytest.approx(
        {
            "abs_err": np.abs(predicted - truth).mean(),
            "rel_err": (np.abs(predicted - truth) / truth).mean(),
            "rmse": np.sqrt(((predicted - truth) ** 2).mean()),
        }
    )


def test_a_negative_prediction_counts_as_zero() -> None:
    prediction, target = torch.tensor([[[[-3.0, 2.0]]]]), torch.tensor([[[[1.0, 2.0]]]])
    assert Depth().decode(prediction).tolist() == [[[[0.0, 2.0]]]]
    metric = Depth().metric()
    metric.update(prediction, target, torch.ones(1, 1, 2, dtype=torch.bool))
    assert float(metric.compute()["abs_err"]) == 0.5


def test_the_encoded_depth_is_one_at_the_farthest_pixel_of_each_image() -> None:
    values = torch.rand(3, 1, 5, 6) * torch.tensor([1.0, 10.0, 0.1]).view(3, 1, 1, 1) + 0.01
    valid = torch.rand(3, 5, 6) > 0.5
    for encoded, depth in (
        (Depth().encode_prediction(values), values),
        (Depth().encode_target(values, valid), values * valid[:, None]),
    ):
        torch.testing.assert_close(encoded.amax((1, 2, 3)), torch.ones(3))
        torch.testing.assert_close(encoded, depth / depth.amax((1, 2, 3), keepdim=True))


def test_what_is_magnified_is_nearer() -> None:
    depth = torch.full((2, 1, 2, 2), 3.0)
    zoomed = Depth().zoom(depth, torch.tensor([1.0, 1.5]))
    assert zoomed.flatten(1).tolist() == [[3.0] * 4, [2.0] * 4]
    assert torch.equal(Depth().mirror(depth), depth)


def test_inverse_depth_is_multiplied_where_depth_is_divided() -> None:
    depth, scale = torch.tensor([[[[1.0, 4.0]]], [[[2.0, 8.0]]]]), torch.tensor([1.2, 1.5])
    inverse = Depth(inverse=True).zoom(1 / depth, scale)
    torch.testing.assert_close(inverse, 1 / Depth().zoom(depth, scale))
    assert inverse[1].flatten().tolist() == [0.75, 0.1875]


def test_near_is_drawn_bright_of_inverse_depth_too() -> None:
    inverse = torch.tensor([[[[1.0, 0.5, 0.0]]]])
    brightness = Depth(inverse=True).colorize(inverse)[0].mean(0).flatten()
    assert brightness[0] > brightness[1] > brightness[2] > 0


def test_inverse_depth_is_scored_in_its_own_unit() -> None:
    assert Depth(inverse=True).score_types["abs_err"] == ("1/m", False)
    assert Depth(inverse=True, unit="").score_types["rmse"] == ("", False)
    options = {"unit": "px", "inverse": True, "loss": "l1", "gradient": 0.0}
    assert Depth(inverse=True, unit="px").options() == options


def test_labels_of_zero_have_no_relative_error() -> None:
    metric = Depth(inverse=True).metric()
    target = torch.tensor([[[[0.0, 2.0, 4.0]]]])
    metric.update(torch.tensor([[[[1.0, 3.0, 4.0]]]]), target, torch.ones(1, 1, 3, dtype=torch.bool))
    values = {name: float(x) for name, x in metric.compute().items()}
    assert values == pytest.approx({"abs_err": 2 / 3, "rel_err": 1 / 4, "rmse": (2 / 3) ** 0.5})


def test_near_is_drawn_brighter_than_far_on_one_scale_for_the_batch() -> None:
    depth = torch.tensor([[[[1.0, 2.0]]], [[[2.0, 4.0]]]])
    brightness = Depth().colorize(depth).mean(1)
    assert brightness[0, 0, 0] > brightness[0, 0, 1] == brightness[1, 0, 0] > brightness[1, 0, 1]


def test_depth_that_is_the_same_everywhere_or_nowhere_finite_can_be_drawn() -> None:
    for values in (torch.full((1, 1, 2, 3), 2.0), torch.full((1, 1, 2, 3), float("nan"))):
        colors = Depth().colorize(values)
        assert colors.isfinite().all()
        assert ((colors >= 0) & (colors <= 1)).all()


def test_scores_carry_the_unit_of_the_labels() -> None:
    units = {name: unit for name, (unit, _) in Depth(unit="km").score_types.items()}
    assert units == {"abs_err": "km", "rel_err": "", "rmse": "km"}
    assert Depth.score_types["abs_err"] == ("m", False)
