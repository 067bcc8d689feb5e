"""Rotation and zoom about the center: geometry of pixels and of values, borders, hidden labels."""

from __future__ import annotations

import math

import pytest
import torch

from builders import LABELS, batch, tasks
from mtpsl.augmentation.rotate import Border, Draw, Rotation
from mtpsl.structures import Batch
from mtpsl.tasks import Depth, Edges, Normals, Segmentation, Task

BORDERS: tuple[Border, Border] = ("unlabelled", "zero")

QUARTER = torch.tensor([math.pi / 2])
ONE = torch.ones(1)


def test_a_quarter_turn_counterclockwise_is_that_of_rot90() -> None:
    seen = batch(LABELS["all labelled"], (32, 32), edges=True)
    some = tasks(edges=True)
    count = len(seen)
    turned = Rotation(some).turned(seen, QUARTER.expand(count), ONE.expand(count))
    torch.testing.assert_close(turned.images, seen.images.rot90(1, (-2, -1)), atol=1e-4, rtol=0)
    for name in ("segmentation", "depth", "edges"):
        assert torch.equal(turned.valid[name], seen.valid[name].rot90(1, (-2, -1)))
        expected = seen.targets[name].rot90(1, (-2, -1))
        mask = turned.valid[name] if name == "segmentation" else turned.valid[name][:, None]
        assert torch.equal(turned.targets[name].masked_fill(~mask, 0), expected.masked_fill(~mask, 0))


def slope(size: int, towards: tuple[float, float]) -> torch.Tensor:
    """Inverse depth of a plane that comes nearer in a direction (right, up) of the image."""
    place = torch.arange(size) - (size - 1) / 2
    return (1 + 0.01 * (towards[0] * place[None, :] - towards[1] * place[:, None]))[None, None]


@pytest.mark.parametrize("degrees", [0.0, 30.0, -75.0, 180.0])
def test_the_normal_of_a_plane_turns_as_the_plane_does(degrees: float) -> None:
    angle = math.radians(degrees)
    turned_towards = (math.cos(angle), math.sin(angle))
    plane, turned_plane = slope(33, (1.0, 0.0)), slope(33, turned_towards)
    normal = torch.tensor([0.6, 0.0, 0.8]).view(1, 3, 1, 1).expand(1, 3, 33, 33)
    valid = torch.ones(1, 33, 33, dtype=torch.bool)
    seen = Batch(
        ("a",), torch.zeros(1, 3, 33, 33), {"depth": plane, "normals": normal}, {"depth": valid, "normals": valid}
    )
    out = Rotation([Depth(), Normals()]).turned(seen, torch.tensor([angle]), ONE)
    middle = (..., slice(10, 23), slice(10, 23))
    assert (out.targets["depth"] - turned_plane)[middle].abs().max() < 0.011  # nearest pixel: up to one step
    expected = torch.tensor([0.6 * turned_towards[0], 0.6 * turned_towards[1], 0.8]).view(1, 3, 1, 1)
    torch.testing.assert_close(out.targets["normals"][middle], expected.expand(1, 3, 13, 13))


def test_a_y_axis_that_points_down_turns_the_other_way() -> None:
    normal = torch.tensor([0.6, 0.0, 0.8]).view(1, 3, 1, 1)
    quarter = torch.tensor([math.pi / 2])
    up, down = (Normals(y_axis=axis).rotate(normal, quarter).flatten() for axis in ("up", "down"))
    torch.testing.assert_close(up, torch.tensor([0.0, 0.6, 0.8]))  # from right to up, counterclockwise
    torch.testing.assert_close(down, torch.tensor([0.0, -0.6, 0.8]))


def test_magnified_depth_is_nearer_and_inverse_depth_larger() -> None:
    valid = torch.ones(1, 8, 8, dtype=torch.bool)
    seen = Batch(("a",), torch.zeros(1, 3, 8, 8), {"depth": torch.full((1, 1, 8, 8), 3.0)}, {"depth": valid})
    out = Rotation([Depth()]).turned(seen, torch.zeros(1), torch.tensor([1.5]))
    assert torch.equal(out.targets["depth"], torch.full((1, 1, 8, 8), 2.0))


def test_what_comes_from_outside_has_no_label() -> None:
    labels = torch.ones(1, 8, 8, dtype=torch.long)
    seen = Batch(("a",), torch.ones(1, 3, 8, 8), {"segmentation": labels}, {"segmentation": labels > 0})
    out = Rotation([Segmentation(num_classes=2)]).turned(seen, torch.zeros(1), torch.tensor([0.5]))
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[2:6, 2:6] = True
    assert torch.equal(out.valid["segmentation"][0], expected)
    assert torch.equal(out.images[0, 0] > 0.5, expected)


def test_what_comes_from_outside_can_be_background_where_an_image_has_a_label() -> None:
    some: list[Task] = [Segmentation(num_classes=2), Edges(), Depth(), Normals()]
    count, shape = 2, (2, 8, 8)
    labels, valid = torch.ones(shape, dtype=torch.long), torch.ones(shape, dtype=torch.bool)
    valid[0, 2:5, 2:5] = False  # a hole stays one
    valid[1] = False  # an image without labels stays one
    targets = {
        "segmentation": labels,
        "edges": labels[:, None].float(),
        "depth": labels[:, None].float(),
        "normals": torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(count, 3, 8, 8),
    }
    seen = Batch(("a", "b"), torch.ones(count, 3, 8, 8), targets, dict.fromkeys(targets, valid))
    half = torch.full((count,), 0.5)
    plain, zero = (Rotation(some, border=border).turned(seen, torch.zeros(count), half) for border in BORDERS)
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:6, 2:6] = True
    for name in ("segmentation", "edges"):
        assert torch.equal(zero.valid[name][0], plain.valid[name][0] | ~inside)
        assert torch.equal(zero.targets[name].reshape(shape)[0].bool(), inside)
        assert not zero.valid[name][0][inside].all()
    for name in ("depth", "normals"):
        assert torch.equal(zero.valid[name], plain.valid[name])
    assert not any(mask[1].any() for mask in zero.valid.values())
    assert torch.equal(zero.images, plain.images)


@pytest.mark.parametrize(("draw", "middle"), [("log", 1.0), ("uniform", 2.125)])
def test_magnifications_are_drawn_evenly_on_the_scale_asked_for(draw: Draw, middle: float) -> None:
    count = 1000
    valid = {"depth": torch.ones(count, 3, 3, dtype=torch.bool)}
    keys = tuple(map(str, range(count)))
    seen = Batch(keys, torch.zeros(count, 3, 3, 3), {"depth": torch.ones(count, 1, 3, 3)}, valid)
    turn = Rotation([Depth()], degrees=0, scales=(0.25, 4.0), draw=draw)
    scale = 1 / turn(seen, torch.Generator().manual_seed(1)).targets["depth"][:, 0, 1, 1]
    assert scale.median().item() == pytest.approx(middle, rel=0.1)
    assert 0.25 <= scale.min() < 0.3
    assert 3.9 < scale.max() <= 4.0001


@pytest.mark.parametrize("kind", LABELS)
def test_hidden_labels_and_holes_stay_hidden(kind: str) -> None:
    some = tasks(edges=True)
    seen = batch(LABELS[kind], (32, 64), edges=True)
    marked = Batch(seen.keys, seen.images, dict(seen.targets), dict(seen.valid))
    for name, valid in seen.valid.items():
        mask = valid if name == "segmentation" else valid[:, None]
        marked.targets[name] = torch.where(mask, seen.targets[name], seen.targets[name] * 0 + 3)
    random = torch.Generator().manual_seed(0)
    out = Rotation(some)(marked, random)
    again = Rotation(some)(seen, torch.Generator().manual_seed(0))
    for name in seen.targets:
        assert not (out.labelled(name) & ~seen.labelled(name)).any()
        mask = out.valid[name] if name == "segmentation" else out.valid[name][:, None]
        assert torch.equal(out.valid[name], again.valid[name])
        assert torch.equal(out.targets[name].masked_fill(~mask, 0), again.targets[name].masked_fill(~mask, 0))


def test_angles_and_scales_are_drawn_over_their_whole_range() -> None:
    count = 400
    valid = torch.ones(count, 9, 9, dtype=torch.bool)
    normal = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(count, 3, 9, 9)
    targets = {"depth": torch.ones(count, 1, 9, 9), "normals": normal}
    seen = Batch(
        tuple(map(str, range(count))), torch.zeros(count, 3, 9, 9), targets, {"depth": valid, "normals": valid}
    )
    out = Rotation([Depth(), Normals()], degrees=20, scales=(0.75, 1.25))(seen, torch.Generator().manual_seed(1))
    scale = 1 / out.targets["depth"][:, 0, 4, 4]
    angle = torch.rad2deg(torch.atan2(out.targets["normals"][:, 1, 4, 4], out.targets["normals"][:, 0, 4, 4]))
    assert 0.75 <= scale.min() < 0.76
    assert 1.24 < scale.max() <= 1.2501
    assert -20.001 <= angle.min() < -19.5
    assert 19.5 < angle.max() <= 20.001


@pytest.mark.parametrize(
    "options",
    [{"degrees": -1.0}, {"degrees": 200.0}, {"scales": (1.2, 1.0)}, {"scales": (0.0, 1.0)}, {"scales": (1.0,)}],
)
def test_angles_and_scales_that_cannot_be_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="should"):
        Rotation([Depth()], **options)


def test_a_task_that_it_was_not_told_of_is_refused() -> None:
    with pytest.raises(ValueError, match="none of the tasks"):
        Rotation([Depth()])(batch(LABELS["all labelled"], (32, 64)))
