"""Cameras follow the images: normals of an augmented depth map are the augmented normals."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from builders import SHARED, needs_shared
from mtpsl.augmentation import Augmentation, Rotation
from mtpsl.camera import Intrinsics
from mtpsl.objectives.known_relations.planes import normals_from_depth
from mtpsl.structures import Batch, Sample
from mtpsl.tasks import Depth, Normals, Task
from mtpsl.training.pictures import one_image

TASKS: list[Task] = [Depth(), Normals()]
CHANGES: dict[str, Callable[[Batch], Batch]] = {
    "none": lambda batch: batch,
    "zoom": Augmentation(TASKS, scales=(1.3, 2.0), flip=False),
    "flip": Augmentation(TASKS, scales=(1.0,), flip=True),
    "turn": Rotation(TASKS, degrees=40.0, scales=(1.0, 1.0)),
    "turn and rescale": Rotation(TASKS, degrees=40.0, scales=(0.75, 1.6)),
    "all": lambda batch: CHANGES["flip"](CHANGES["zoom"](CHANGES["turn and rescale"](batch))),
    "the other way round": lambda batch: CHANGES["turn and rescale"](CHANGES["flip"](CHANGES["zoom"](batch))),
}
"""Images are interpolated, as predictions for them are; so inverse depth, linear on planes, travels as an image."""


def angles(batch: Batch) -> tuple[Tensor, Tensor]:
    """Between normals of the inverse depth in the images and the labels, in degrees; and where both are known."""
    assert batch.cameras is not None
    found, fits = normals_from_depth(batch.images[:, :1].clamp(min=1e-3), batch.cameras, 0.01)
    known = fits & batch.valid["normals"] & (batch.images[:, 1] > 0.999)
    cosine = (F.normalize(found, dim=1) * batch.targets["normals"]).sum(1)
    return torch.rad2deg(cosine.clamp(-1, 1).acos()), known


def batch_of(inverse: Tensor, normals: Tensor, valid: Tensor, cameras: Tensor) -> Batch:
    """Inverse depth and where it is known as images, normals as labels."""
    images = torch.cat([inverse, valid[:, None].float(), valid[:, None].float()], 1)
    keys = tuple(map(str, range(len(images))))
    return Batch(keys, images, {"normals": normals}, {"normals": valid}, cameras=cameras)


def planes(count: int = 8) -> Batch:
    """Planes that a camera with two focal lengths and its axis off the middle sees."""
    random = torch.Generator().manual_seed(0)
    camera = torch.tensor(Intrinsics(40.0, 55.0, 20.0, 18.0).matrix())
    toward = torch.randn(count, 3, generator=random) * 0.3 - torch.tensor([0.0, 0.0, 1.0])
    toward = F.normalize(toward, dim=1)
    v, u = torch.meshgrid(torch.arange(40.0), torch.arange(48.0), indexing="ij")
    rays = torch.stack([(u - 20) / 40, (v - 18) / 55, torch.ones_like(u)])
    inverse = -torch.einsum("bi,ihw->bhw", toward, rays)[:, None] / 3
    label = (toward * torch.tensor([1.0, -1.0, -1.0])).view(count, 3, 1, 1).expand(-1, -1, 40, 48)
    return batch_of(inverse, label, inverse[:, 0] > 0.02, camera.expand(count, 3, 3))


@pytest.mark.parametrize("change", CHANGES)
def test_normals_of_changed_planes_are_the_changed_normals(change: str) -> None:
    torch.manual_seed(0)
    changed = CHANGES[change](planes())
    found, known = angles(changed)
    assert known.float().mean() > 0.3
    assert found[known].quantile(0.99) < 0.2
    if change not in ("none", "turn"):  # a camera that stays is one of other images
        assert not torch.equal(changed.cameras, planes().cameras)  # type: ignore[arg-type]
        wrong, seen = angles(replace(changed, cameras=planes().cameras))
        assert wrong[seen].mean() > 5 * found[known].mean()


def rendered(count: int = 4) -> Batch:
    """Rendered rooms with exact depth and normals."""
    root = SHARED / "data" / "indoor"
    with (root / "views.csv").open(encoding="utf-8") as file:
        focal = {(row["split"], row["id"]): float(row["focal_px"]) for row in csv.DictReader(file)}
    paths = sorted((root / "train" / "depth").glob("*.png"))[:: 480 // count][:count]
    depth = torch.stack([torch.from_numpy(np.asarray(Image.open(path)).astype(np.float32)) for path in paths]) / 1000
    colors = [np.asarray(Image.open(root / "train" / "normals" / path.name)).astype(np.float32) for path in paths]
    stored = torch.from_numpy(np.stack(colors)).permute(0, 3, 1, 2)
    cameras = [Intrinsics(f, f, 95.5, 71.5).matrix() for f in (focal["train", path.stem] for path in paths)]
    valid = (stored != 0).any(1) & (depth > 0)
    return batch_of(
        1 / depth[:, None].clamp(min=1e-3), F.normalize((stored - 128) / 127, dim=1), valid, torch.tensor(cameras)
    )


def flat(batch: Batch) -> Tensor:
    """Pixels whose neighbors have their normal, to a degree, two pixels around."""
    steps = [batch.targets["normals"].roll((dy, dx), (2, 3)) for dy in (-2, 0, 2) for dx in (-2, 0, 2)]
    nearest = torch.stack([(batch.targets["normals"] * step).sum(1) for step in steps]).amin(0)
    inner = torch.zeros_like(nearest, dtype=torch.bool)
    inner[:, 4:-4, 4:-4] = True
    return inner & (nearest > float(np.cos(np.radians(1.0))))


@needs_shared
@pytest.mark.parametrize("change", CHANGES)
def test_on_flat_pixels_of_rendered_rooms_they_agree_within_a_degree(change: str) -> None:
    torch.manual_seed(0)
    changed = CHANGES[change](rendered())
    found, known = angles(changed)
    known &= flat(changed)
    assert known.float().mean() > 0.1
    assert found[known].median() < 1.0


def test_an_image_without_a_camera_stays_without() -> None:
    for change in CHANGES.values():
        torch.manual_seed(0)
        batch = planes(2)
        batch = replace(batch, cameras=batch.cameras * torch.tensor([1.0, 0.0]).view(2, 1, 1))  # type: ignore[operator]
        cameras = change(batch).cameras
        assert cameras is not None
        assert cameras[0, 2, 2] == 1
        assert not cameras[1].any()
        assert change(replace(batch, cameras=None)).cameras is None


def test_cameras_go_wherever_batches_go() -> None:
    camera = torch.tensor(Intrinsics(40, 55, 20, 18).matrix())
    samples = [Sample("a", torch.zeros(3, 4, 6), camera=camera), Sample("b", torch.zeros(3, 4, 6))]
    batch = Batch.collate(samples, {})
    assert batch.cameras is not None
    assert torch.equal(batch.cameras, torch.stack([camera, torch.zeros(3, 3)]))
    assert torch.equal(batch.to("cpu").cameras, batch.cameras)  # type: ignore[arg-type]
    assert torch.equal(one_image(batch, 0).cameras, camera[None])  # type: ignore[arg-type]
    assert torch.equal(samples[0].with_labels_of([]).camera, camera)  # type: ignore[arg-type]
    assert Batch.collate(samples[1:], {}).cameras is None
