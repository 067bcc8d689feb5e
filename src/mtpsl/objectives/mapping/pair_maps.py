"""A whole network for every ordered pair of tasks, from the prediction or label of one to a prediction of the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import permutations
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mtpsl.networks.segnet import SegNet
from mtpsl.objectives.fixed import fixed as held_fixed
from mtpsl.objectives.mapping.pairs import Pair, to_device
from mtpsl.options import check_positive
from mtpsl.tasks import Task


class PairMaps(nn.Module):
    """A SegNet per ordered pair of tasks: K(K-1) networks.

    Li, Liu, Bilen, CVPR 2022, section 4: "we use the whole SegNet as the cross-task mapping functions".

    Args:
        tasks: the tasks, of which every ordered pair gets a network.
        width: factor on the channels of all of them; 1 is the published network.
    """

    def __init__(self, tasks: Sequence[Task], *, width: float = 1.0) -> None:
        super().__init__()
        check_positive(width=width)
        self.tasks = list(tasks)
        self.maps = nn.ModuleList(
            SegNet({target.name: target.out_channels}, width=width, in_channels=source.encoding_channels)
            for source, target in permutations(self.tasks, 2)
        )

    def forward(
        self, encodings: Float[Tensor, "r e h w"], source: int, target: int, *, fixed: bool = False
    ) -> Float[Tensor, "r c h w"]:
        """Raw predictions of the target task; with `fixed`, gradients reach the encodings and no parameter."""
        network = self.network(source, target)
        with held_fixed(network) if fixed else nullcontext():
            output = network(encodings)
        return output.predictions[self.tasks[target].name]

    def network(self, source: int, target: int) -> SegNet:
        """The network of a pair, in the order of `pairs.Pair.column`."""
        return cast(SegNet, self.maps[source * (len(self.tasks) - 1) + target - int(target > source)])


def known_encoding(
    task: Task, prediction: Float[Tensor, "b c h w"], target: Tensor, valid: Bool[Tensor, "b h w"]
) -> Float[Tensor, "b e h w"]:
    """What is known best about a task, encoded, without a gradient: its label where valid, else the prediction."""
    encoded = task.encode_prediction(prediction.detach())
    return torch.where(valid[:, None], task.encode_target(target, valid).to(encoded.dtype), encoded)


def group_by_tasks(pairs: Sequence[Pair], device: torch.device) -> Iterator[tuple[int, int, Int[Tensor, " r"]]]:
    """Source, target and the images of all pairs of the same tasks, so that each network is called once."""
    images: dict[tuple[int, int], list[int]] = {}
    for image, *tasks in pairs:
        images.setdefault((tasks[0], tasks[1]), []).append(image)
    for source, target in sorted(images):
        yield source, target, to_device(images[source, target], device)
