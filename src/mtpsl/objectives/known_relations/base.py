"""What a known relation between predictions is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from mtpsl.objectives.known_relations.options import RelationOptions
from mtpsl.structures import Batch
from mtpsl.tasks import Task


class KnownRelation(ABC):
    """A task follows from another: what the prediction of the one says of the other is compared with labels of that.

    Args:
        source: the task whose prediction it starts from.
        target: the task that follows.
        options: how the two are compared.
    """

    #: types of the two tasks
    kinds: ClassVar[tuple[type[Task], type[Task]]]
    #: whether it counts on images with a camera only
    needs_camera: ClassVar[bool] = False

    def __init__(self, source: Task, target: Task, options: RelationOptions) -> None:
        self.source, self.target, self.options = source, target, options

    @property
    def name(self) -> str:
        """`segmentation=>edges`."""
        return f"{self.source.name}=>{self.target.name}"

    @classmethod
    def between(cls, tasks: Sequence[Task], options: RelationOptions) -> list[KnownRelation]:
        """The relation of every two tasks of its types."""
        first, second = cls.kinds
        return [
            cls(source, target, options)
            for source in tasks
            for target in tasks
            if isinstance(source, first) and isinstance(target, second)
        ]

    @abstractmethod
    def losses(self, predictions: Mapping[str, Tensor], batch: Batch) -> Float[Tensor, " b"]:
        """The loss of each image, zero for one that has nothing to compare with."""
