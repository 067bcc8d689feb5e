"""Mapped features: scale, distance and place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtpsl.visualization import draw_mapped
from mtpsl.visualization.mapped import distance_map, enlarged, overlay
from mtpsl.visualization.principal import LEAST, principal_colors


def test_distances_are_cosine_distances_over_channels():
    a = torch.tensor([1.0, 0.0]).view(2, 1, 1).expand(2, 1, 4)
    b = torch.tensor([[3.0, 0.0, -2.0, 0.0], [0.0, 5.0, 0.0, 0.0]]).view(2, 1, 4)
    assert torch.allclose(distance_map(a, b), torch.tensor([[0.0, 1.0, 2.0, 1.0]]), atol=1e-6)


def test_a_hot_corner_of_the_map_is_the_same_corner_of_the_image():
    heat = torch.zeros(3, 4)
    heat[0, 3] = 1
    pixels = np.asarray(overlay(heat, torch.full((3, 95, 131), 0.5), 0.0, 1.0)).astype(int).sum(2)
    assert pixels.shape == (95, 131)
    assert np.unravel_index(pixels.argmax(), pixels.shape) == (0, pixels[0].argmax())
    assert pixels[0].argmax() > 110


def test_every_pair_is_a_row():
    image = torch.rand(3, 32, 64)
    maps = {"depth->normals": (torch.rand(8, 1, 2), torch.rand(8, 1, 2))}
    one = draw_mapped(image, maps)
    two = draw_mapped(image, maps | {"a->b": (torch.rand(8, 1, 2), torch.rand(8, 1, 2))}, title="key")
    assert two.width == one.width
    assert two.height > 1.8 * one.height


def test_constant_and_broken_features_are_drawn():
    nothing = torch.zeros(8, 1, 2)
    broken = torch.full((8, 1, 2), float("nan"), requires_grad=True)
    draw_mapped(torch.rand(3, 1, 1), {"a": (nothing, nothing), "b->c": (broken, nothing)})


def test_wrong_maps_are_named():
    with pytest.raises(ValueError, match="at least one pair"):
        draw_mapped(torch.rand(3, 8, 8), {})
    with pytest.raises(ValueError, match="a->b: both mapped features should have one shape"):
        draw_mapped(torch.rand(3, 8, 8), {"a->b": (torch.rand(8, 1, 2), torch.rand(8, 2, 2))})
    pairs = {"a->b": (torch.rand(8, 1, 2),) * 2, "b->a": (torch.rand(9, 1, 2),) * 2}
    with pytest.raises(ValueError, match="all pairs should have as many channels, not 8, 9"):
        draw_mapped(torch.rand(3, 8, 8), pairs)


def test_three_directions_in_their_basis_by_hand():
    # Around their mean (1/3, 1/3, 1/3) unit vectors along the axes form a triangle with sides of root 2
    maps = [4 * torch.eye(3)[axis].view(3, 1, 1) for axis in range(3)]
    colors, share = principal_colors(maps)
    assert share == pytest.approx(1)
    sides = torch.pdist(torch.stack([one.flatten() for one in colors]))
    torch.testing.assert_close(sides, sides[:1].expand(3), atol=0.02, rtol=0)  # one scale of all components
    assert sides[0] > 0.7
    torch.testing.assert_close(torch.stack(colors).mean(0).flatten(), torch.full((3,), 0.5), atol=0.01, rtol=0)


def test_equal_maps_have_equal_colors_and_different_ones_different_colors_in_all_pairs():
    random = torch.Generator().manual_seed(0)
    one, other = (torch.randn(16, 3, 4, generator=random) for _ in range(2))
    (first, second, third, fourth), share = principal_colors([one, other, 2 * one, one.flip(2)])
    assert 0 < share < 1
    assert torch.allclose(first, third, atol=1e-6)
    assert torch.equal(fourth, first.flip(2))
    assert (first - second).norm(dim=0).mean() > 0.3
    again, _ = principal_colors([one, other, 2 * one, one.flip(2)])
    assert torch.equal(first, again[0])


def test_directions_that_are_all_alike_are_gray():
    base = torch.ones(8, 1, 1).expand(8, 2, 3)
    (colors,), _ = principal_colors([base + 1e-4 * torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(0))])
    assert (colors - 0.5).abs().max() < 0.01
    tilted = torch.stack([torch.ones(1, 2), torch.tensor([[0.0, LEAST]])])  # half of the least that fills the scale
    (colors,), share = principal_colors([tilted])
    assert share == pytest.approx(1)
    assert colors[0, 0].sort().values.tolist() == pytest.approx([0.25, 0.75], abs=2e-3)
    assert (colors[1:] == 0.5).all()


def test_all_pairs_of_a_sheet_have_one_basis():
    """Left half along one axis, right half along another; one map of the second pair has an axis of its own."""
    one, other, image = torch.zeros(4, 2, 4), torch.zeros(4, 2, 4), torch.full((3, 40, 80), 0.5)
    one[0, :, :2], one[1, :, 2:], other[2] = 1, 1, 1
    sheet = np.asarray(draw_mapped(image, {"a->b": (one, one), "b->a": (one, other)})).astype(int)
    (colors, _, _, _), _ = principal_colors([one, one, one, other])
    corners = (255 * enlarged(colors, image)[:, 20, [2, 77]]).round().int().T.tolist()
    assert corners[0] != corners[1]
    for color in corners:
        rows, places = np.nonzero((sheet == color).all(-1))
        below = rows > sheet.shape[0] // 2
        assert {*((places[~below] - 16) // 336)} == {1, 2}
        assert {*((places[below] - 16) // 336)} == {1}
