from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mtpsl.tasks import Normals
from mtpsl.tasks.normals import unit_vectors


def at_angles(degrees: torch.Tensor) -> torch.Tensor:
    """Vectors (n, 3, 1, 1) of changing length at these angles from the z axis."""
    turn = torch.deg2rad(degrees.double())
    around = torch.arange(len(degrees)).double()
    vectors = torch.stack((turn.sin() * around.cos(), turn.sin() * around.sin(), turn.cos()), 1)
    return (vectors * (1 + around[:, None] % 5)).float()[..., None, None]


def scores(degrees: torch.Tensor) -> dict[str, float]:
    ahead = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(len(degrees), 3, 1, 1)
    metric = Normals().metric()
    metric.update(at_angles(degrees), ahead, torch.ones(len(degrees), 1, 1, dtype=torch.bool))
    return {name: float(value) for name, value in metric.compute().items()}


def test_the_loss_is_one_minus_the_cosine_whatever_the_length() -> None:
    # (0, 3, 4) is at cosine 4/5 from the z axis; the second pixel does not count.
    prediction = torch.tensor([0.0, 3.0, 4.0]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    target = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    valid = torch.tensor([[[True, False]]])
    assert Normals().loss(prediction, target, valid).tolist() == pytest.approx([0.2])
    assert Normals().loss(100 * prediction, target, valid).tolist() == pytest.approx([0.2])


def test_the_l1_loss_is_the_mean_difference_of_a_component_whatever_the_length() -> None:
    # (0, 3, 4) has the direction (0, 0.6, 0.8): differences 0, 0.6 and 0.2; the second pixel does not count.
    prediction = torch.tensor([0.0, 3.0, 4.0]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    target = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    valid = torch.tensor([[[True, False]]])
    assert Normals(loss="l1").loss(prediction, target, valid).tolist() == pytest.approx([0.8 / 3])
    assert Normals(loss="l1").loss(100 * prediction, target, valid).tolist() == pytest.approx([0.8 / 3])
    every = torch.ones_like(valid)
    expected = F.l1_loss(F.normalize(prediction, dim=1), target)
    assert Normals(loss="l1").loss(prediction, target, every).tolist() == pytest.approx([float(expected)])


@pytest.mark.parametrize("count", [1, 2, 999, 1000])
def test_angles_are_scored_as_numpy_does(count: int) -> None:
    degrees = torch.rand(count, generator=torch.Generator().manual_seed(count)) ** 2 * 180
    exact = degrees.double().numpy()
    found = scores(degrees)
    assert found["mean_err"] == pytest.approx(exact.mean(), abs=1e-3)
    assert found["median_err"] == pytest.approx(np.median(exact), abs=0.01)
    for limit in (11.25, 22.5, 30):
        assert found[f"within_{limit:g}"] == pytest.approx(100 * (exact < limit).mean())


def test_the_median_is_that_of_all_batches_within_a_hundredth_of_a_degree() -> None:
    random = torch.Generator().manual_seed(0)
    metric = Normals().metric()
    angles = []
    for count in (1, 4):
        prediction = torch.randn((count, 3, 15, 17), generator=random)
        target = F.normalize(prediction + 0.5 * torch.randn((count, 3, 15, 17), generator=random), dim=1)
        valid = torch.rand((count, 15, 17), generator=random) > 0.3
        metric.update(prediction, target.masked_fill(~valid[:, None], float("nan")), valid)
        a, b = (x.permute(0, 2, 3, 1)[valid].double().numpy() for x in (prediction, target))
        angles.append(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(1))))
    exact = np.concatenate(angles)
    assert float(metric.compute()["median_err"]) == pytest.approx(np.median(exact), abs=0.01)
    assert float(metric.compute()["mean_err"]) == pytest.approx(exact.mean(), abs=1e-5)


def test_a_perfect_prediction_has_no_error_and_an_opposite_one_180_degrees() -> None:
    target = F.normalize(torch.randn(2, 3, 20, 20, generator=torch.Generator().manual_seed(0)), dim=1)
    valid = torch.ones(2, 20, 20, dtype=torch.bool)
    for prediction, error in ((3 * target, 0.0), (-target, 180.0)):
        metric = Normals().metric()
        metric.update(prediction, target, valid)
        values = metric.compute()
        assert float(values["mean_err"]) == pytest.approx(error, abs=1e-4)
        assert float(values["median_err"]) == pytest.approx(error, abs=0.01)


def test_a_network_that_went_astray_scores_nan_and_does_not_stop_the_evaluation() -> None:
    found = scores(torch.tensor([10.0, float("nan")]))
    assert np.isnan(found["mean_err"])
    assert found["within_30"] == 50


def test_decoded_and_encoded_values_are_unit_vectors() -> None:
    prediction = 7 * torch.randn(2, 3, 5, 6)
    torch.testing.assert_close(Normals().decode(prediction).norm(dim=1), torch.ones(2, 5, 6))
    encoded = Normals().encode_prediction(prediction)
    assert ((encoded >= 0) & (encoded <= 1)).all()
    torch.testing.assert_close((2 * encoded - 1).norm(dim=1), torch.ones(2, 5, 6))


def test_a_missing_label_is_encoded_as_one_half() -> None:
    target = torch.full((1, 3, 1, 2), float("nan"))
    target[..., 0] = torch.tensor([0.0, 0.6, -0.8]).view(1, 3, 1)
    encoded = Normals().encode_target(target, torch.tensor([[[True, False]]]))
    torch.testing.assert_close(encoded[0, :, 0].T, torch.tensor([[0.5, 0.8, 0.1], [0.5, 0.5, 0.5]]))


def test_mirroring_negates_x_alone() -> None:
    target = torch.tensor([0.6, 0.48, -0.64]).view(1, 3, 1, 1)
    assert Normals().mirror(target).flatten().tolist() == pytest.approx([-0.6, 0.48, -0.64])
    assert torch.equal(Normals().zoom(target, torch.tensor([1.5])), target)


def test_unit_vectors_equal_those_of_torch_with_gradients_that_stay_finite() -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    x[0, :, 0, 0] = 0
    torch.testing.assert_close(unit_vectors(x), F.normalize(x, dim=1), atol=1e-15, rtol=0)
    x.requires_grad_()
    unit_vectors(x)[:, 1].sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
