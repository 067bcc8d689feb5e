"""Edges where the class changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mtpsl.data.relations.base import Relation
from mtpsl.tasks import Task


@dataclass(frozen=True)
class EdgesFromSegmentation(Relation):
    """A pixel is a boundary if its class is another than that of its right or lower neighbor."""

    source_kind: ClassVar[str] = "segmentation"

    def derive(
        self, key: str, tasks: tuple[Task, Task], target: Int[Tensor, "h w"], valid: Bool[Tensor, "h w"]
    ) -> tuple[Tensor, Bool[Tensor, "h w"]]:
        """Edges (1, h, w), and where they are known."""
        return class_boundaries(target, valid)[None].float(), valid


def class_boundaries(classes: Int[Tensor, "h w"], valid: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """Where the class differs from that of the right or lower pixel, both of them known.

    >>> class_boundaries(torch.tensor([[0, 1, 1], [0, 0, 1]]), torch.ones(2, 3, dtype=torch.bool)).int()
    tensor([[1, 1, 0],
            [0, 1, 0]], dtype=torch.int32)
    """
    edges = torch.zeros_like(valid)
    edges[:, :-1] |= (classes[:, :-1] != classes[:, 1:]) & valid[:, :-1] & valid[:, 1:]
    edges[:-1] |= (classes[:-1] != classes[1:]) & valid[:-1] & valid[1:]
    return edges
