"""Regression: values by hand, scores by numpy, vectors by geometry, and what its files hold."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtpsl.augmentation.rotate import Rotation
from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.data.check.statistics import statistics_of
from mtpsl.data.formats import RegressionFormat
from mtpsl.data.formats.lossless import describe, require_equal
from mtpsl.errors import UserError
from mtpsl.structures import Batch
from mtpsl.tasks import Regression
from mtpsl.tasks.regression import RegressionLoss
from mtpsl.visualization.legends import legend

FLOW = Regression("flow", channels=2, unit="px", vector="image")
LOSSES: list[tuple[RegressionLoss, float]] = [
    ("l1", (0.5 + 3) / 2),
    ("l2", (0.25 + 9) / 2),
    ("huber", (0.125 + 2.5) / 2),
]


@pytest.mark.parametrize(("kind", "expected"), LOSSES)
def test_losses_of_known_differences_are_those_worked_out_by_hand(kind: RegressionLoss, expected: float) -> None:
    prediction = torch.tensor([[[[0.5, 9.0]], [[-3.0, 9.0]]]])
    target, valid = torch.tensor([[[[0.0, math.nan]], [[0.0, 1.0]]]]), torch.tensor([[[True, False]]])
    assert float(Regression(channels=2, loss=kind).loss(prediction, target, valid)) == pytest.approx(expected)


def test_errors_equal_those_computed_by_numpy() -> None:
    random = torch.Generator().manual_seed(0)
    metric = FLOW.metric()
    prediction, target = (torch.randn((3, 2, 5, 6), generator=random) for _ in range(2))
    valid = torch.rand((3, 5, 6), generator=random) > 0.3
    metric.update(prediction[:1], target[:1], valid[:1])
    metric.update(prediction[1:], target[1:], valid[1:])
    error = (prediction - target).movedim(1, -1)[valid].double().numpy()
    assert {name: float(value) for name, value in metric.compute().items()} == pytest.approx(
        {
            "abs_err": np.abs(error).mean(),
            "rmse": np.sqrt((error**2).mean()),
            "end_point_err": np.linalg.norm(error, axis=1).mean(),
        }
    )
    assert FLOW.score_types["end_point_err"] == ("px", False)


def test_predictions_are_brought_into_the_range() -> None:
    task, prediction = Regression(range=(0, 1)), torch.tensor([[[[-1.0, 0.5, 3.0]]]])
    assert task.decode(prediction).flatten().tolist() == [0, 0.5, 1]
    metric = task.metric()
    metric.update(prediction, torch.tensor([[[[0.0, 0.5, 1.0]]]]), torch.ones(1, 1, 3) > 0)
    assert float(metric.compute()["rmse"]) == 0


def towards(column: float, row: float, size: int) -> torch.Tensor:
    """The vectors from each pixel of a square to one place, in pixels."""
    y, x = torch.meshgrid(torch.arange(size).float(), torch.arange(size).float(), indexing="ij")
    return torch.stack((column - x, row - y))[None]


def view_of(vectors: torch.Tensor) -> Batch:
    size = vectors.shape[-1]
    valid = torch.ones(1, size, size, dtype=torch.bool)
    return Batch(("a",), torch.zeros(1, 3, size, size), {"flow": vectors}, {"flow": valid})


def test_vectors_to_a_place_still_lead_there_in_the_mirror() -> None:
    seen, place = view_of(towards(3, 10, 17)), (16 - 3, 10)
    for seed in range(9):
        out = Augmentation([FLOW], scales=(1.0,))(seen, torch.Generator().manual_seed(seed)).targets["flow"]
        if not torch.equal(out, seen.targets["flow"]):
            assert torch.equal(out, towards(*place, 17))
            return
    raise AssertionError("no image was mirrored")


@pytest.mark.parametrize(("degrees", "scale"), [(90.0, 1.0), (-35.0, 1.0), (0.0, 2.0), (50.0, 1.5)])
def test_vectors_to_a_place_still_lead_there_when_turned_and_magnified(degrees: float, scale: float) -> None:
    size, angle = 33, math.radians(degrees)
    right, down = (3, -2)  # from the center, 16, 16
    seen = view_of(towards(16 + right, 16 + down, size))
    out = Rotation([FLOW]).turned(seen, torch.tensor([angle]), torch.tensor([scale]))
    # Counterclockwise as one sees it, where rows count downwards.
    moved_right = scale * (math.cos(angle) * right + math.sin(angle) * down)
    moved_down = scale * (math.cos(angle) * down - math.sin(angle) * right)
    expected, valid = towards(16 + moved_right, 16 + moved_down, size), out.valid["flow"]
    error = (out.targets["flow"] - expected).movedim(1, -1)[valid]
    assert error.abs().max() < 0.75 * scale  # the nearest pixel: up to half a diagonal
    assert error.mean(0).abs().max() < 0.1


def test_other_numbers_do_not_follow() -> None:
    albedo, scale = torch.rand(1, 3, 4, 4), torch.tensor([2.0])
    task = Regression(channels=3)
    for changed in (task.mirror(albedo), task.zoom(albedo, scale), task.rotate(albedo, scale)):
        assert torch.equal(changed, albedo)
    third = Regression(channels=3, vector="image")
    assert torch.equal(third.zoom(albedo, scale), albedo * torch.tensor([2.0, 2.0, 1.0]).view(1, 3, 1, 1))


def test_a_vector_to_the_right_is_red_and_its_legend_names_the_longest() -> None:
    vectors = torch.tensor([[[[2.0, 0.0, -2.0]], [[0.0, 0.0, 0.0]]]])
    red, white, cyan = FLOW.colorize(vectors)[0, :, 0].T.tolist()
    assert (red, white, cyan) == ([1, 0, 0], [1, 1, 1], pytest.approx([0, 1, 1], abs=1e-5))
    seen = torch.ones(1, 1, 3) > 0
    assert legend(FLOW, vectors, seen, 300) is not None
    assert legend(Regression(unit="m"), vectors[:, :1], seen, 300) is not None
    assert legend(Regression(channels=3), vectors[:, [0, 0, 0]], seen, 300) is None
    assert legend(FLOW, vectors, ~seen, 300) is None


def test_stored_numbers_are_shifted_and_scaled_and_missing_ones_are_not_valid(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[100, 0, 140]], np.uint8)).save(path)
    target, valid = RegressionFormat(scale=0.5, offset=100, missing=0, range=[-1, 30]).read(path, (1, 3))
    assert target.tolist() == [[[0, 0, 20]]]
    assert valid.tolist() == [[True, False, True]]
    flow = np.array([[[1, 2], [3, math.nan]]], np.float32)
    np.save(tmp_path / "b.npy", flow)
    target, valid = RegressionFormat(channels=2, vector="image").read(tmp_path / "b.npy", (1, 2))
    assert target.tolist() == [[[1, 0]], [[2, 0]]]
    assert valid.tolist() == [[True, False]]
    found = statistics_of(FLOW)
    found.update(target.numpy(), valid.numpy())
    assert found.values(FLOW) == {"min": 1, "mean": 1.5, "max": 2}


def test_a_converted_label_is_the_same_to_the_bit() -> None:
    source = RegressionFormat(channels=3, scale=0.1, offset=7, missing=[0, 255], range=[-1, 30], unit="m")
    target, valid = source.decode(np.array([[[8, 9, 11], [1, 0, 3]]], np.uint8), Path("a.png"))
    entry = describe("albedo", source)
    again = RegressionFormat(**{key: value for key, value in entry.items() if key != "type"})
    assert again.task("albedo").options() == source.task("albedo").options()
    require_equal(again, again.encode(target, valid), Path("a.npy"), target, valid)


WRONG_FILES = [
    ({"channels": 2}, np.zeros((2, 2)), "should have 2 channels, not 1: correct `channels`"),
    ({}, np.zeros((2, 2, 3)) + np.arange(3), "should have 1 channel, not 3 that differ"),
    ({}, np.full((2, 2), math.inf), "value inf at 4 pixels should be finite"),
    ({"range": [0, 1]}, np.full((2, 2), 1.5), "should lie in `range` [0, 1]: correct `range`"),
    ({}, np.ones((2, 2), bool), "should be numbers, not bool"),
]


@pytest.mark.parametrize(("options", "array", "message"), WRONG_FILES)
def test_files_that_mean_something_else_are_refused_in_one_line(
    tmp_path: Path, options: dict[str, object], array: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UserError) as caught:
        RegressionFormat(**options).read(tmp_path / "a.npy", None)
    assert str(caught.value).startswith(str(tmp_path / "a.npy"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


WRONG_OPTIONS = [
    ({"loss": "l3"}, "`loss` should be l1, l2, huber, not l3"),
    ({"channels": 0}, "`channels` should be a whole number of 1 or more, not 0"),
    ({"range": [1, 0]}, "`range` should be a smallest and a larger number, as [0, 1], not [1, 0]"),
    ({"range": 1}, "`range` should be"),
    ({"vector": "image"}, "`vector` needs `channels` of 2 or more (x and y), not 1"),
    ({"vector": "camera", "channels": 2}, "`vector` should be image, not camera"),
    ({"unit": 1}, "`unit` should be a text"),
    ({"scale": 0}, "`scale` should be a positive number"),
    ({"offset": "a"}, "`offset` should be a number, not a"),
    ({"missing": "none"}, "`missing` should be a number, nan or a list"),
]


@pytest.mark.parametrize(("options", "message"), WRONG_OPTIONS)
def test_options_that_mean_nothing_are_refused_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        RegressionFormat(**options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_task_refuses_them_under_its_name() -> None:
    with pytest.raises(ValueError, match="flow: `vector` needs `channels`"):
        Regression("flow", vector="image")
