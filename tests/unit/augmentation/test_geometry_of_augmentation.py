"""Augmentation: pinhole cameras as oracles, and labels that tell where they come from."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.structures import Batch
from mtpsl.tasks import Depth, Normals, Segmentation, Task

FOCAL = 50.0


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Columns and rows of all pixels, in float64."""
    v, u = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    return u, v


def points(depth: Tensor, u: Tensor, v: Tensor, center: tuple[float, float], focal: float = FOCAL) -> Tensor:
    """What a pinhole camera sees at pixels (u, v): (..., 3)."""
    return torch.stack(((u - center[0]) * depth / focal, (v - center[1]) * depth / focal, depth), -1)


def normals_of(seen: Tensor) -> Tensor:
    """Normals towards the camera by central differences of an (h, w, 3) map of points: (h - 2, w - 2, 3)."""
    right, down = seen[1:-1, 2:] - seen[1:-1, :-2], seen[2:, 1:-1] - seen[:-2, 1:-1]
    return F.normalize(torch.linalg.cross(down, right), dim=-1)


def plane(height: int, width: int, normal: Tensor, offset: float, center: tuple[float, float]) -> Tensor:
    """Depth of the points P with normal . P = offset."""
    u, v = grid(height, width)
    rays = points(torch.ones_like(u), u, v, center)
    return offset / (rays @ normal)


def sphere(height: int, width: int, middle: Tensor, radius: float, center: tuple[float, float]) -> Tensor:
    """Depth of the nearer points of a sphere; NaN beside it."""
    u, v = grid(height, width)
    rays = points(torch.ones_like(u), u, v, center)
    a, b, c = rays.square().sum(-1), rays @ middle, middle.square().sum() - radius**2
    return (b - (b.square() - a * c).sqrt()) / a


def where_from(height: int, width: int) -> tuple[Tensor, Tensor]:
    """An image and a label that say where each pixel comes from: (u, v, 0) / size, and v * width + u."""
    u, v = grid(height, width)
    image = torch.stack((u / max(width - 1, 1), v / max(height - 1, 1), torch.zeros_like(u))).float()
    return image, (v * width + u).long()


def scene(depth: Tensor, normals: Tensor, count: int = 6) -> tuple[Batch, list[Task]]:
    """`count` times the same view, with segmentation = the number of the pixel."""
    height, width = depth.shape
    image, number = where_from(height, width)
    targets = {"segmentation": number, "depth": depth.float()[None], "normals": normals.float().permute(2, 0, 1)}
    targets = {name: x.expand(count, *x.shape).clone() for name, x in targets.items()}
    valid = {name: torch.ones(count, height, width, dtype=torch.bool) for name in targets}
    some: list[Task] = [Segmentation(num_classes=height * width), Depth(), Normals()]
    return Batch(tuple("abcdefgh"[:count]), image.expand(count, 3, height, width).clone(), targets, valid), some


def origin(view: Batch) -> tuple[Tensor, Tensor]:
    """Column and row in the original image that each pixel's labels come from: (b, h, w) each."""
    width = view.images.shape[-1]
    number = view.targets["segmentation"]
    return (number % width).double(), (number // width).double()


def test_normals_computed_from_a_flipped_depth_map_equal_the_flipped_normals() -> None:
    center, middle = (17.3, 12.1), torch.tensor([0.3, -0.2, 4.0], dtype=torch.float64)
    tilted = plane(25, 33, torch.tensor([0.36, 0.48, -0.8], dtype=torch.float64), -3.0, center)
    ball = sphere(25, 33, middle, 0.9, center)
    depth = torch.where(ball.isnan(), tilted, ball)  # curved and not symmetric
    u, v = grid(25, 33)
    normals = F.pad(normals_of(points(depth, u, v, center)).permute(2, 0, 1), (1, 1, 1, 1)).permute(1, 2, 0)
    seen, some = scene(depth, normals)
    view = Augmentation(some, scales=(1.0,))(seen, generator())

    flipped = (view.targets["segmentation"][:, 0, 0] != 0).tolist()
    assert {True, False} == set(flipped)
    for row, mirrored in enumerate(flipped):
        # A mirrored camera has its principal point at the mirrored place.
        now = (32 - center[0], center[1]) if mirrored else center
        found = normals_of(points(view.targets["depth"][row, 0].double(), u, v, now))
        torch.testing.assert_close(
            view.targets["normals"][row].permute(1, 2, 0)[1:-1, 1:-1].double(), found, atol=2e-4, rtol=0
        )


def test_a_zoomed_plane_stays_a_plane_squashed_along_the_optical_axis() -> None:
    """With the focal length kept, (X, Y, Z) becomes (X, Y, Z / s) exactly.

    A magnified pixel lies at s (u - cx) from the principal point and shows depth Z / s, so X = (u - cx) Z / f stays. A
    plane n . P = d becomes the plane (nx, ny, s nz) . P = d: this is what a camera moved nearer sees only of a plane
    that faces it. (The protocol leaves the normals as they were: see the next test.)
    """
    center, normal = (20.5, 11.0), torch.tensor([0.36, 0.48, -0.8], dtype=torch.float64)
    depth = plane(27, 40, normal, -3.0, center)
    seen, some = scene(depth, normal.expand(27, 40, 3))
    for scale in (1.2, 1.5):
        view = Augmentation(some, scales=(scale,), flip=False)(seen, generator())
        u, v = origin(view)
        squashed = points(
            view.targets["depth"][:, 0].double(), scale * (u - center[0]), scale * (v - center[1]), (0, 0)
        )
        stretched = normal * torch.tensor([1, 1, scale])
        torch.testing.assert_close(squashed @ stretched, torch.full_like(u, -3.0), atol=1e-5, rtol=0)

        facing = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64)
        wall, some_wall = scene(plane(27, 40, facing, -6.0, center), facing.expand(27, 40, 3))
        nearer = Augmentation(some_wall, scales=(scale,))(wall, generator()).targets
        torch.testing.assert_close(nearer["depth"], torch.full_like(nearer["depth"], 6 / scale))
        torch.testing.assert_close(nearer["normals"][:, 2], -torch.ones_like(nearer["normals"][:, 2]))


def test_the_zoomed_inverse_depth_of_a_plane_is_that_of_the_squashed_plane() -> None:
    """One over the depth is (n . ray) / d: after magnification (nx, ny, s nz) . ray / d at the pixel s (u - cx)."""
    center, normal = (20.5, 11.0), torch.tensor([0.36, 0.48, -0.8], dtype=torch.float64)
    seen, some = scene(1 / plane(27, 40, normal, -3.0, center), normal.expand(27, 40, 3))
    some = [Depth(inverse=True) if task.name == "depth" else task for task in some]
    for scale in (1.2, 1.5):
        view = Augmentation(some, scales=(scale,), flip=False)(seen, generator())
        u, v = origin(view)
        rays = points(torch.ones_like(u), scale * (u - center[0]), scale * (v - center[1]), (0, 0))
        expected = rays @ (normal * torch.tensor([1, 1, scale])) / -3.0
        torch.testing.assert_close(view.targets["depth"][:, 0].double(), expected, atol=1e-5, rtol=0)


def test_a_zoomed_sphere_becomes_an_ellipsoid_around_the_nearer_middle() -> None:
    center, middle, radius = (20.5, 11.0), torch.tensor([0.1, 0.2, 4.0], dtype=torch.float64), 5.0
    depth = -sphere(27, 40, -middle, radius, center)  # from inside: the far half, seen everywhere
    assert (depth > 0).all()
    seen, some = scene(depth, torch.zeros(27, 40, 3))
    view = Augmentation(some, scales=(1.5,), flip=False)(seen, generator())
    u, v = origin(view)
    found = points(view.targets["depth"][:, 0].double(), 1.5 * (u - center[0]), 1.5 * (v - center[1]), (0, 0))
    back = found * torch.tensor([1, 1, 1.5])
    torch.testing.assert_close((back - middle).norm(dim=-1), torch.full_like(u, radius), atol=1e-5, rtol=0)


def test_zoomed_normals_are_those_of_the_depth_under_a_longer_lens() -> None:
    """Normals keep their direction: right for a focal length s f and the depth before the division, exactly.

    Scale 2 repeats each labelled pixel, so every second one gives back the original grid, 2 pixels apart.
    """
    center, normal = (20.5, 11.0), torch.tensor([0.36, 0.48, -0.8], dtype=torch.float64)
    seen, some = scene(plane(28, 40, normal, -3.0, center), normal.expand(28, 40, 3))
    view = Augmentation(some, scales=(2.0,))(seen, generator(3))
    u, v = origin(view)
    columns, rows = grid(28, 40)
    flipped = u[:, 0, 0] > u[:, 0, -1]
    assert set(flipped.tolist()) == {True, False}
    for row, mirrored in enumerate(flipped.tolist()):
        # The principal point in the new image: moved by the crop, magnified, mirrored. Of two equal columns the first
        # (in a mirrored image the second) lies exactly at its place.
        x, y = 2 * (center[0] - float(u[row].min())), 2 * (center[1] - float(v[row].min()))
        x = 39 - x if mirrored else x
        every = (slice(None, None, 2), slice(1 if mirrored else 0, None, 2))
        depth = 2 * view.targets["depth"][row, 0].double()
        found = normals_of(points(depth[every], columns[every], rows[every], (x, y), 2 * FOCAL))
        labels = view.targets["normals"][row].permute(1, 2, 0)[every][1:-1, 1:-1].double()
        torch.testing.assert_close(labels, found, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(24, 40), (17, 23), (5, 4), (96, 128)])
def test_labels_stay_aligned_with_the_image(size: tuple[int, int]) -> None:
    """The image holds its own coordinates, so that each pixel says where its color and its labels come from."""
    height, width = size
    seen, some = scene(torch.ones(size), torch.ones(*size, 3), count=8)
    view = Augmentation(some)(seen, generator(1))
    u, v = origin(view)
    apart_u = view.images[:, 0] * (width - 1) - u
    apart_v = view.images[:, 1] * (height - 1) - v
    # The rule of the nearest pixel rounds down a place which is up to one pixel further than aligned corners'.
    assert apart_u.abs().max() < 1 + 1e-3
    assert apart_v.abs().max() < 1 + 1e-3


def test_the_corners_of_a_view_are_the_corners_of_its_crop_exactly() -> None:
    images = torch.rand(8, 3, 37, 53, generator=generator())
    seen = Batch(tuple("abcdefgh"), images, {}, {})
    for scale in (1.2, 1.5, 1.7):
        tall, wide = int(37 / scale), int(53 / scale)
        view = Augmentation([], scales=(scale,), flip=False)(seen, generator(2)).images
        for row in range(8):
            corners = view[row][:, [0, 0, -1, -1], [0, -1, 0, -1]]
            candidates = [
                images[row][:, [y, y, y + tall - 1, y + tall - 1], [x, x + wide - 1, x, x + wide - 1]]
                for y in range(37 - tall + 1)
                for x in range(53 - wide + 1)
            ]
            assert any(torch.equal(corners, candidate) for candidate in candidates)


def test_the_second_view_is_the_same_crop_without_a_flip() -> None:
    seen, some = scene(torch.ones(24, 40), torch.ones(24, 40, 3), count=8)
    augment = Augmentation(some)
    full, crop = augment(seen, generator(4)), augment.crop_view(seen, generator(4))
    u, _ = origin(crop)
    assert (u[:, 0, 0] <= u[:, 0, -1]).all()
    flipped = (origin(full)[0][:, 0, 0] > u[:, 0, 0]).view(-1, 1, 1)
    assert flipped.any()
    number = crop.targets["segmentation"]
    assert torch.equal(full.targets["segmentation"], torch.where(flipped, number.flip(-1), number))
