"""Normals from depth: against ray-cast surfaces whose normals are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from mtpsl.camera import Intrinsics
from mtpsl.data import ScenesDataset
from mtpsl.data.relations.depth_normals import normals_from_depth
from mtpsl.data.scenes.room import random_scene

SIZE = (60, 80)
CAMERA = Intrinsics(70, 65, 42.5, 27.0)


def rays(camera: Intrinsics, size: tuple[int, int]) -> np.ndarray:
    """Directions that reach 1 along the optical axis: x right, y up, z towards the viewer."""
    v, u = np.mgrid[: size[0], : size[1]].astype(float)
    return np.stack(((u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy, -np.ones(size)), -1)


def plane_depth(normal: np.ndarray, distance: float) -> np.ndarray:
    """Depth of the plane n.p = -distance."""
    return -distance / (rays(CAMERA, SIZE) @ normal)


def angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip((first * second).sum(-1), -1, 1)))


@pytest.mark.parametrize(
    "direction", [(0, 0, 1), (0.5, 0, 1), (-0.5, 0, 1), (0, 0.7, 1), (0, -0.7, 1), (0.6, -0.3, 1), (-0.2, 1, 1.2)]
)
@pytest.mark.parametrize("radius", [1, 3, 5])
def test_a_plane_has_its_normal_at_every_pixel(direction, radius):
    normal = np.array(direction) / np.linalg.norm(direction)
    depth = plane_depth(normal, 2.0)
    assert (depth > 0).all()
    normals, valid = normals_from_depth(depth, depth > 0, CAMERA, radius)
    assert normals.shape == (*SIZE, 3)
    assert normals.dtype == np.float32
    assert valid.all()
    np.testing.assert_allclose(normals, np.broadcast_to(normal, normals.shape), atol=1e-5)


def test_normals_do_not_depend_on_the_unit_of_depth():
    depth = plane_depth(np.array([0.6, 0.0, 0.8]), 2.0) + 0.01 * np.sin(np.arange(80) / 5)
    meters, _ = normals_from_depth(depth, depth > 0, CAMERA)
    millimeters, _ = normals_from_depth(1000 * depth, depth > 0, CAMERA)
    np.testing.assert_allclose(meters, millimeters, atol=1e-6)


def test_a_floor_looks_up_and_a_wall_to_the_right_looks_left():
    directions = rays(CAMERA, SIZE)
    with np.errstate(divide="ignore"):
        floor = np.where(directions[..., 1] < -0.05, -1.5 / directions[..., 1], 0)
        wall = np.where(directions[..., 0] > 0.05, 1.2 / directions[..., 0], 0)
    for depth, expected in ((floor, (0, 1, 0)), (wall, (-1, 0, 0))):
        normals, valid = normals_from_depth(depth, depth > 0, CAMERA)
        assert valid.sum() > 0.9 * (depth > 0).sum()
        assert angles(normals, np.array(expected))[valid].max() < 0.01


def test_a_sphere_has_the_normals_of_a_sphere():
    directions, center, radius = rays(CAMERA, SIZE), np.array([0.1, -0.1, -3.0]), 1.0
    a, b = (directions**2).sum(-1), directions @ center
    root = b**2 - a * (center @ center - radius**2)
    hit = root > 0
    depth = np.where(hit, (b - np.sqrt(np.maximum(root, 0))) / a, 0)
    exact = (depth[..., None] * directions - center) / radius
    normals, valid = normals_from_depth(depth, hit, CAMERA, radius=2)
    inner = hit & (exact[..., 2] > 0.7)  # nearer to the rim a pixel spans more than 4 degrees
    errors = angles(normals, exact)[valid & inner]
    assert (valid & inner).sum() == inner.sum() > 600
    assert np.median(errors) < 1
    assert errors.max() < 10  # a window whose corner holds the pixel is 2.8 pixels away


def test_edges_and_creases_stay_sharp():
    left, right = np.array([0.6, 0.0, 0.8]), np.array([-0.6, 0.0, 0.8])
    column = np.arange(80)[None, :]
    crease = np.maximum(plane_depth(left, 2.0), plane_depth(right, 2.0))
    step = np.where(column < 40, plane_depth(left, 1.0), plane_depth(right, 3.0))
    first = plane_depth(left, 2.0) >= plane_depth(right, 2.0)
    for depth, exact in (
        (crease, np.where(first[..., None], left, right)),
        (step, np.where((column < 40)[..., None], left, right)),
    ):
        normals, valid = normals_from_depth(depth, depth > 0, CAMERA)
        assert valid.mean() > 0.97
        assert (angles(normals, exact)[valid] < 0.1).mean() > 0.97


def test_unknown_depth_gives_no_normal_and_spoils_no_other():
    normal = np.array([0.6, 0.0, 0.8])
    depth = plane_depth(normal, 2.0)
    known = np.random.default_rng(0).random(SIZE) > 0.3
    known[20:40, 20:40] = False
    normals, valid = normals_from_depth(np.where(known, depth, 0), known, CAMERA)
    assert not valid[~known].any()
    assert (normals[~valid] == 0).all()
    assert valid[known].mean() > 0.99
    assert angles(normals, normal)[valid].max() < 0.01
    normals, valid = normals_from_depth(np.zeros(SIZE), np.zeros(SIZE, bool), CAMERA)
    assert not valid.any()
    assert (normals == 0).all()


def test_noise_is_averaged_over_the_window():
    normal = np.array([0.0, 0.6, 0.8])
    noisy = plane_depth(normal, 2.0) * (1 + 0.002 * np.random.default_rng(0).standard_normal(SIZE))
    errors = {}
    for radius in (2, 5):
        normals, valid = normals_from_depth(noisy, noisy > 0, CAMERA, radius)
        errors[radius] = np.median(angles(normals, normal)[valid])
    assert errors[5] < errors[2] / 2
    assert errors[5] < 1


def test_rendered_rooms_agree_away_from_edges():
    dataset = ScenesDataset(4, "val", size=(96, 128))
    errors, known = [], []
    for index in range(len(dataset)):
        scene = random_scene(np.random.default_rng([0, 1, index]))
        focal = scene.camera.focal(96)
        sample = dataset[index]
        depth = sample.targets["depth"][0].double().numpy()
        normals, valid = normals_from_depth(depth, depth > 0, Intrinsics(focal, focal, 63.5, 47.5), radius=2)
        away = ~binary_dilation(sample.targets["edges"][0].numpy() > 0, np.ones((3, 3)))
        errors.append(angles(normals, sample.targets["normals"].permute(1, 2, 0).numpy())[valid & away])
        known.append(valid[away].mean())
    found = np.concatenate(errors)
    print(f"median {np.median(found):.3f}, mean {found.mean():.2f} degrees, known {np.mean(known):.3f}")
    assert np.median(found) < 0.5
    assert found.mean() < 4
    assert np.mean(known) > 0.97


def test_an_image_smaller_than_the_window_is_no_error():
    normals, valid = normals_from_depth(np.full((2, 3), 2.0), np.ones((2, 3), bool), CAMERA, radius=5)
    assert normals.shape == (2, 3, 3)
    assert not valid.any()
