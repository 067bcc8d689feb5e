"""Normals from depth and the camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.data.relations.base import Relation
from mtpsl.data.relations.depth_normals import normals_from_depth
from mtpsl.tasks import Depth, Normals, Task


@dataclass(frozen=True)
class NormalsFromDepth(Relation):
    """Planes are fitted to depth (`normals_from_depth`), at the size at which depth is stored.

    Args:
        source: the name of the task that it starts from.
        cameras: the camera of each image by its name, or one of all.
        radius: windows have 2 `radius` + 1 pixels; larger ones average noise, smaller ones keep small things.
        misfit: a normal is unknown where the best plane is off by more than this share of the depth.
    """

    radius: int = 2
    misfit: float = 0.01
    source_kind: ClassVar[str] = "depth"
    needs_camera: ClassVar[bool] = True

    def derive(
        self, key: str, tasks: tuple[Task, Task], target: Float[Tensor, "1 h w"], valid: Bool[Tensor, "h w"]
    ) -> tuple[Tensor, Bool[Tensor, "h w"]]:
        """Unit vectors (3, h, w), x to the right, y as the task has it, z towards the viewer; zero where unknown."""
        depth, normals = tasks
        camera = self.camera(key)
        assert isinstance(depth, Depth)
        assert isinstance(normals, Normals)
        assert camera is not None
        values = target[0].double().numpy()
        known = valid.numpy() & (values > 0)
        if depth.inverse:
            values = np.divide(1.0, values, out=np.zeros_like(values), where=known)
        size = (known.shape[0], known.shape[1])
        found, seen = normals_from_depth(values, known, camera.at(size), self.radius, self.misfit)
        if normals.y_axis == "down":
            found[..., 1] *= -1
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(found, 2, 0))), torch.from_numpy(seen)
