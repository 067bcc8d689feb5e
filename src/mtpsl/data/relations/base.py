"""What a known relation of two tasks is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from jaxtyping import Bool
from torch import Tensor

from mtpsl.camera import Camera
from mtpsl.tasks import Task

#: the camera of each image by its name, or one of all
Cameras: TypeAlias = Mapping[str, Camera] | Camera


def camera_of(cameras: Cameras | None, key: str) -> Camera | None:
    """The camera of an image, if it has one."""
    return cameras.get(key) if isinstance(cameras, Mapping) else cameras


@dataclass(frozen=True)
class Relation(ABC):
    """Makes labels of a task from those of another one of the same image.

    Args:
        source: the name of the task that it starts from.
        cameras: the camera of each image by its name, or one of all; None where no camera is needed.
    """

    source: str
    cameras: Cameras | None = None

    #: the task type that it starts from
    source_kind: ClassVar[str]
    #: whether it needs cameras
    needs_camera: ClassVar[bool] = False

    def camera(self, key: str) -> Camera | None:
        """The camera of an image."""
        return camera_of(self.cameras, key)

    @abstractmethod
    def derive(
        self, key: str, tasks: tuple[Task, Task], target: Tensor, valid: Bool[Tensor, "h w"]
    ) -> tuple[Tensor, Bool[Tensor, "h w"]]:
        """The label that follows from another one.

        Args:
            key: the image's name.
            tasks: the task to derive from and the one to derive.
            target: of the task to derive from, as it is stored.
            valid: where that one is known.

        Raises:
            ValueError: the image's camera is one of images of another shape.
        """
