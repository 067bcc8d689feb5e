from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mtpsl.data.scenes import ScenesDataset, render_once
from mtpsl.data.scenes import dataset as scenes_dataset
from mtpsl.data.scenes.furniture import CLASSES, Builder, Material
from mtpsl.data.scenes.raycast import lit, look, trace
from mtpsl.data.scenes.render import render
from mtpsl.data.scenes.room import Scene, random_scene
from mtpsl.data.scenes.solids import BOX, CYLINDER, SPHERE, Solids
from mtpsl.errors import UserError
from mtpsl.structures import Batch, Sample
from mtpsl.tasks import Edges, Segmentation

SIZE = (48, 64)
TASKS = ("segmentation", "depth", "normals", "edges")


def solids(*some: tuple[int, tuple[float, float, float], tuple[float, float, float], float]) -> Solids:
    kind, center, half, yaw = zip(*some, strict=True) if some else ((), (), (), ())
    return Solids(
        np.array(kind, int),
        np.array(center, float).reshape(-1, 3),
        np.array(half, float).reshape(-1, 3),
        np.array(yaw, float),
    )


def scene(*some: tuple[int, tuple[float, float, float], tuple[float, float, float], float], **view: float) -> Scene:
    """A room of 4 x 3 x 2.5 m, seen from (1, 1.5, 1.2) along +x."""
    gray = np.full(3, 0.5)
    materials = [Material(label, "plain", gray, gray, 0.5) for label in ("floor", "wall", "ceiling", "crate")]
    camera = look(np.array([1.0, 1.5, 1.2]), **{"fov": 1.0, **view})
    room, light = np.array([4.0, 3.0, 2.5]), np.array([2.0, 1.5, 2.3])
    return Scene(room, solids(*some), np.full(len(some), 3), materials, camera, light, 0.5, 0)


def labels(a_scene: Scene, size: tuple[int, int] = SIZE) -> dict[str, torch.Tensor]:
    return render(a_scene, size, np.random.default_rng(0))[1]


def seen_points(a_scene: Scene, depth: torch.Tensor) -> np.ndarray:
    """Points in the camera's frame (h, w, 3), from depth and the pinhole model written out again."""
    height, width = depth.shape[-2:]
    focal = height / 2 / np.tan(a_scene.camera.fov / 2)
    z = depth[0].numpy().astype(float)
    rows, columns = np.mgrid[:height, :width] + 0.5
    return np.stack((z * (columns - width / 2) / focal, z * (height / 2 - rows) / focal, -z), -1)


def is_inside(a: Solids, points: np.ndarray) -> np.ndarray:
    """Which solids (n, ...) contain points (..., 3), from the implicit equations."""
    found = []
    for kind, center, half, yaw in zip(a.kind, a.center, a.half, a.yaw, strict=True):
        moved = points - center
        turn = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        local = np.abs(moved @ turn.T) / half
        if kind == BOX:
            found.append(local.max(-1) < 1)
        elif kind == CYLINDER:
            found.append((np.hypot(local[..., 0], local[..., 1]) < 1) & (local[..., 2] < 1))
        else:
            found.append((local**2).sum(-1) < 1)
    return np.stack(found)


def same(a: Sample, b: Sample) -> bool:
    return torch.equal(a.image, b.image) and all(torch.equal(a.targets[name], b.targets[name]) for name in TASKS)


@pytest.fixture(scope="module")
def hundred() -> list[Sample]:
    dataset = ScenesDataset(100, size=SIZE)
    return [dataset[index] for index in range(100)]


@pytest.fixture(params=range(6))
def random_room(request: pytest.FixtureRequest) -> Scene:
    return random_scene(np.random.default_rng(request.param))


def test_depth_of_an_empty_room_is_the_intersection_with_its_planes():
    empty = scene(pitch=-0.2)
    depth, classes = labels(empty)["depth"][0].numpy(), labels(empty)["segmentation"].numpy()
    focal = SIZE[0] / 2 / np.tan(0.5)
    for row in range(SIZE[0]):
        above = (SIZE[0] / 2 - row - 0.5) / focal  # slope of the ray against the optical axis, in the middle columns
        forward, up = np.cos(-0.2) - above * np.sin(-0.2), np.sin(-0.2) + above * np.cos(-0.2)
        wall = 3.0 / forward
        floor = -1.2 / up if up < 0 else np.inf
        ceiling = 1.3 / up if up > 0 else np.inf
        column = SIZE[1] // 2
        assert depth[row, column] == pytest.approx(min(wall, floor, ceiling), rel=1e-5)
        assert classes[row, column] == [1, 0, 2][int(np.argmin([wall, floor, ceiling]))]


def test_a_wall_straight_ahead_has_one_depth_and_faces_the_viewer():
    targets = labels(scene(fov=0.5))
    wall = (targets["depth"][0] - 3).abs() < 1e-5
    assert wall.float().mean() > 0.5
    assert torch.equal(targets["normals"][:, wall], torch.tensor([[0.0], [0.0], [1.0]]).expand(3, int(wall.sum())))


def test_normals_of_an_empty_room_point_inwards_in_the_frame_of_the_camera():
    targets = labels(scene(fov=1.6))
    middle = {"up": targets["normals"][:, -1, 32], "down": targets["normals"][:, 0, 32]}
    middle |= {"right": targets["normals"][:, 24, 0], "left": targets["normals"][:, 24, -1]}
    expected = {"up": [0.0, 1, 0], "down": [0.0, -1, 0], "right": [1.0, 0, 0], "left": [-1.0, 0, 0]}
    for name, vector in expected.items():
        assert torch.allclose(middle[name], torch.tensor(vector), atol=1e-6), name


def test_points_on_a_sphere_are_at_radius_distance_and_normals_along_the_radius():
    center, radius = (2.6, 1.7, 0.9), 0.5
    a_scene = scene((SPHERE, center, (radius,) * 3, 0.3), yaw=0.2, pitch=-0.3, roll=0.1)
    targets = labels(a_scene)
    on_it = (targets["segmentation"] == CLASSES.index("crate")).numpy()
    from_center = seen_points(a_scene, targets["depth"]) - (np.array(center) - [1, 1.5, 1.2]) @ a_scene.camera.axes
    assert on_it.mean() > 0.05
    assert np.linalg.norm(from_center[on_it], axis=-1) == pytest.approx(radius, rel=1e-4)
    normals = targets["normals"].permute(1, 2, 0).numpy()[on_it]
    assert normals == pytest.approx(from_center[on_it] / radius, abs=1e-3)


def test_every_pixel_shows_the_first_solid_on_its_ray(random_room: Scene):
    rays = random_room.camera.rays(24, 32)
    origin = random_room.camera.position
    hits = trace(random_room.solids, random_room.room, origin, rays)
    shares = np.linspace(0.02, 0.995, 200)[:, None, None]
    in_front = origin + shares * hits.distance[:, None] * rays
    assert not is_inside(random_room.solids, in_front).any()
    assert ((in_front > 0) & (in_front < random_room.room)).all()
    points = origin + hits.distance[:, None] * rays - 1e-3 * hits.normal
    of_room = hits.solid == 0
    assert ((points < 0) | (points > random_room.room)).any(-1)[of_room].all()
    behind = is_inside(random_room.solids, points)[hits.solid[~of_room] - 1, np.flatnonzero(~of_room)]
    assert behind.mean() > 0.99  # at a box's edge a step against the normal can leave it again
    assert (np.einsum("pd,pd->p", hits.normal, rays) < 0).all()


def test_normals_agree_with_differences_of_depth(random_room: Scene):
    targets = labels(random_room, (192, 256))
    points = seen_points(random_room, targets["depth"])
    normals = targets["normals"].permute(1, 2, 0).numpy()[1:-1, 1:-1]
    right, up = points[1:-1, 2:] - points[1:-1, :-2], points[:-2, 1:-1] - points[2:, 1:-1]
    found = np.cross(right, up)
    found /= np.linalg.norm(found, axis=-1, keepdims=True)
    smooth = torch.nn.functional.max_pool2d(targets["edges"], 3, 1)[0].numpy() == 0
    angle = np.degrees(np.arccos(np.clip((found * normals).sum(-1), -1, 1)))[smooth]
    assert smooth.mean() > 0.6
    assert np.median(angle) < 0.2
    assert np.quantile(angle, 0.98) < 5


def test_normals_are_unit_vectors_and_images_have_256_steps(hundred: list[Sample]):
    for one in hundred[:20]:
        assert torch.allclose(one.targets["normals"].norm(dim=0), torch.ones(SIZE), atol=1e-5)
        assert torch.equal((one.image * 255).round() / 255, one.image)
        assert one.image.min() >= 0
        assert one.image.max() <= 1


def test_edges_are_where_the_right_or_lower_neighbor_is_another_face(random_room: Scene):
    edges = labels(random_room)["edges"][0]
    camera = random_room.camera
    surface = trace(random_room.solids, random_room.room, camera.position, camera.rays(*SIZE)).surface.reshape(SIZE)
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            neighbors = {surface[row, min(column + 1, SIZE[1] - 1)], surface[min(row + 1, SIZE[0] - 1), column]}
            assert edges[row, column] == float(neighbors != {surface[row, column]})


def test_a_change_of_class_or_a_jump_of_depth_is_an_edge(hundred: list[Sample]):
    for one in hundred:
        edges, classes, depth = one.targets["edges"][0], one.targets["segmentation"], one.targets["depth"][0]
        assert edges[:, :-1][classes[:, 1:] != classes[:, :-1]].all()
        assert edges[:-1][classes[1:] != classes[:-1]].all()
        assert 0.02 < edges.mean() < 0.4
        smooth = edges == 0
        assert (depth[:, 1:] / depth[:, :-1] - 1).abs()[smooth[:, :-1]].max() < 0.5


def test_every_class_has_its_share(hundred: list[Sample]):
    pixels = torch.stack([one.targets["segmentation"].flatten().bincount(minlength=len(CLASSES)) for one in hundred])
    share = pixels.sum(0) / pixels.sum()
    assert pixels.shape[1] == len(CLASSES) == 10
    assert share.min() >= 0.005, dict(zip(CLASSES, share.tolist(), strict=True))
    assert ((pixels > 0).float().mean(0) > 0.3).all()


def test_rooms_are_furnished_and_the_camera_stands_free(hundred: list[Sample]):
    for one in hundred:
        assert (one.targets["segmentation"] > 2).float().mean() > 0.05, one.key
        assert one.targets["depth"].min() > 0.3, one.key
        assert one.targets["depth"].max() < 12, one.key


def test_things_stand_on_the_floor_or_on_each_other_and_inside_the_room(random_room: Scene):
    a = random_room.solids
    cos, sin = np.abs(np.cos(a.yaw)), np.abs(np.sin(a.yaw))
    long, wide, tall = a.half.T
    extent = np.stack([long * cos + wide * sin, long * sin + wide * cos, tall], 1)
    extent[a.kind != BOX] = a.half[a.kind != BOX]
    assert (a.center - extent > -1e-6).all()
    assert (a.center + extent < random_room.room + 1e-6).all()
    bottom = (a.center - extent)[:, 2]
    for i in np.flatnonzero(bottom > 1e-6):
        if random_room.materials[random_room.worn[i]].label == "picture":
            continue
        under = a.center[i] - [0, 0, extent[i, 2] + 1e-3]
        cos, sin = np.cos(a.yaw[i]), np.sin(a.yaw[i])
        leg = (a.half[i, :2] - 0.07) @ np.array([[cos, sin, 0], [-sin, cos, 0]])  # where a table's would be
        assert is_inside(a, np.stack([under, under + leg])).any()


def test_a_lamp_behind_a_solid_casts_a_shadow_and_nothing_else_does():
    a = solids((SPHERE, (2.0, 1.5, 1.0), (0.3,) * 3, 0.0))
    points = np.array([[2, 1.5, 0], [2.5, 1.5, 0], [3.2, 1.5, 0], [2, 1.5, 1.3], [2, 1.5, 1.8]], np.float32)
    # the cone of shadow opens with asin(0.3 / 1.3), so it is 0.55 m wide on the floor
    assert lit(a, np.array([2, 1.5, 2.3]), points).tolist() == [False, False, True, True, True]


def test_an_image_is_the_same_again_and_in_any_batch():
    dataset = ScenesDataset(6, size=SIZE)
    alone = ScenesDataset(40, size=SIZE)[4]
    assert same(dataset[4], alone)
    assert same([dataset[index] for index in (5, 4, 0)][1], alone)
    specs = {task.name: task.target_spec for task in dataset.tasks.values()}
    loader = DataLoader(dataset, batch_size=3, collate_fn=lambda some: Batch.collate(some, specs))
    batch = [*loader][1]
    assert torch.equal(batch.images[1], alone.image)
    assert all(torch.equal(batch.targets[name][1], alone.targets[name]) for name in TASKS)


def test_images_splits_and_seeds_differ():
    some = [ScenesDataset(2, "train", size=SIZE)[0], ScenesDataset(2, "train", size=SIZE)[1]]
    some += [ScenesDataset(2, "val", size=SIZE)[0], ScenesDataset(2, "train", size=SIZE, seed=1)[0]]
    for i, one in enumerate(some):
        for other in some[:i]:
            assert not torch.equal(one.targets["depth"], other.targets["depth"])
            assert (one.image - other.image).abs().mean() > 0.02


def test_another_size_shows_the_same_room():
    small, large = ScenesDataset(1, size=SIZE)[0], ScenesDataset(1, size=(144, 192))[0]
    # the middle of each 3 x 3 pixels looks in the direction of the small image's pixel
    assert torch.equal(small.targets["segmentation"], large.targets["segmentation"][1::3, 1::3])
    assert torch.allclose(small.targets["depth"], large.targets["depth"][:, 1::3, 1::3], rtol=1e-4)


def test_only_the_labels_asked_for_are_returned():
    dataset = ScenesDataset(2, "val", size=SIZE, tasks=("edges", "segmentation"))
    assert [*dataset.tasks] == ["edges", "segmentation"]
    assert isinstance(dataset.tasks["edges"], Edges)
    assert isinstance(dataset.tasks["segmentation"], Segmentation)
    assert dataset.tasks["segmentation"].class_names == [*CLASSES]
    assert dataset.available.shape == (2, 2)
    assert dataset.available.all()
    assert dataset[0].targets.keys() == dataset[0].valid.keys() == {"edges", "segmentation"}
    part = dataset.read(1, ["edges"])
    assert part.targets.keys() == part.valid.keys() == {"edges"}
    assert torch.equal(part.image, dataset[1].image)
    assert dataset.read(1, []).targets == {}
    with pytest.raises(ValueError, match="unknown task 'depth': scenes has edges, segmentation"):
        dataset.read(0, ["depth"])


def test_a_dataset_ends():
    assert len([*ScenesDataset(2, size=(8, 8))]) == 2
    with pytest.raises(IndexError):
        ScenesDataset(2, size=(8, 8))[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "images should be at least 1, not 0"),
        ({"size": (96, 4)}, r"at least 8 pixels, not \(96, 4\)"),
        ({"seed": -1}, "seed should not be negative, but is -1"),
        ({"tasks": ("depth", "saliency")}, "unknown task 'saliency': there are segmentation, depth, normals, edges"),
        ({"tasks": ("depth", "depth")}, "none twice, not depth, depth"),
        ({"tasks": ()}, "at least one task"),
    ],
)
def test_what_cannot_be_rendered_is_refused(options: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        ScenesDataset(**{"count": 1, **options})  # type: ignore[arg-type]


def test_circles_on_the_floor_do_not_touch():
    builder = Builder(np.random.default_rng(0), [], taken=[(1.0, 1.0, 0.5)])
    assert builder.free(2.0, 1.0, 0.4)
    assert not builder.free(2.0, 1.0, 0.6)


def test_rooms_are_rendered_once_while_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(scenes_dataset, "render", lambda *arguments: (drawn.append(1), render(*arguments))[1])
    first = ScenesDataset(2, size=SIZE)[1]
    with render_once():
        once = ScenesDataset(2, size=SIZE)[1]
        once.targets["depth"].zero_()
        again = ScenesDataset(3, size=SIZE, tasks=("depth",))[1]
        ScenesDataset(2, "val", size=SIZE)[1]
    assert len(drawn) == 3
    assert torch.equal(again.image, first.image)
    assert torch.equal(again.targets["depth"], first.targets["depth"])
    ScenesDataset(2, size=SIZE)[1]
    assert len(drawn) == 4
