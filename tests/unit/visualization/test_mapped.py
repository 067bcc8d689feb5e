"""Mapped features: scale, distance and place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtpsl.visualization import draw_mapped
from mtpsl.visualization.mapped import distance_map, magnitudes, overlay


def test_distances_are_cosine_distances_over_channels():
    a = torch.tensor([1.0, 0.0]).view(2, 1, 1).expand(2, 1, 4)
    b = torch.tensor([[3.0, 0.0, -2.0, 0.0], [0.0, 5.0, 0.0, 0.0]]).view(2, 1, 4)
    assert torch.allclose(distance_map(a, b), torch.tensor([[0.0, 1.0, 2.0, 1.0]]), atol=1e-6)


def test_a_heat_map_shows_the_norm_over_channels():
    features = torch.tensor([3.0, -4.0]).view(2, 1, 1)
    assert magnitudes(features).item() == pytest.approx(5)


def test_a_hot_corner_of_the_map_is_the_same_corner_of_the_image():
    heat = torch.zeros(3, 4)
    heat[0, 3] = 1
    pixels = np.asarray(overlay(heat, torch.full((3, 95, 131), 0.5), 0.0, 1.0, "inferno")).astype(int).sum(2)
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
