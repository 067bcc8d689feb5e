"""What an objective is: the thing that papers call a method."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtpsl.options import check_share
from mtpsl.processes import mean_over_processes
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task


class Objective(nn.Module, ABC):
    """Losses of a network on a batch.

    Args:
        tasks: the tasks that the network predicts.
        network: any network that returns an `Output`; only its `stride` and `feature_channels` are looked at, and only
            by objectives that need them. It is neither kept nor changed.
    """

    #: whether images without any label teach it something; otherwise batches without any are passed over
    learns_unlabelled: ClassVar[bool] = False
    #: attributes with what this process counted since it was last added up, for a checkpoint within an epoch
    per_process: ClassVar[tuple[str, ...]] = ()
    #: how many tasks it needs: (at least, at most)
    task_range: ClassVar[tuple[int, int | None]] = (1, None)

    def __init__(self, tasks: Sequence[Task], network: nn.Module) -> None:
        super().__init__()
        least, most = self.task_range
        if len(tasks) < least or (most is not None and len(tasks) > most):
            wanted = f"exactly {least}" if least == most else f"at least {least}"
            names = ", ".join(task.name for task in tasks)
            raise ValueError(f"{type(self).__name__} needs {wanted} task{'s' * (least > 1)}, not {len(tasks)}: {names}")
        self.tasks = list(tasks)
        self._progress: float | None = None

    @abstractmethod
    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Run the network on the batch and return what to minimize."""

    def set_progress(self, progress: float) -> None:
        """Tell how much of the training is done, from 0 to 1 (for weights that change over it); before every step.

        Raises:
            ValueError: it is no such share.
        """
        check_share("the training", progress=progress)
        self._progress = progress

    @property
    def progress(self) -> float:
        """How much of the training is done; who never told gets one warning, since it then stays 0."""
        if self._progress is None:
            warnings.warn(
                f"{type(self).__name__} was never told how much of the training is done and acts as at its start: call "
                "objective.set_progress(step / steps) before every step",
                stacklevel=3,
            )
            self._progress = 0.0
        return self._progress

    def end_epoch(self) -> None:
        """Tell that an epoch is over, in every process, before its checkpoint is written."""

    def parameter_groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """Optimizer groups of the objective's own parameters; `halve_every` in a group asks for its own schedule."""
        parameters = list(self.parameters())
        return [{"params": parameters, "lr": lr}] if parameters else []


def feature_shape(network: nn.Module) -> tuple[int, int]:
    """Channels and stride of a network's last feature map, from its attributes.

    Raises:
        ValueError: the network does not state them.
    """
    channels, stride = getattr(network, "feature_channels", None), getattr(network, "stride", None)
    if not isinstance(channels, int) or not isinstance(stride, int):
        raise ValueError(
            f"{type(network).__name__} should have the integer attributes feature_channels and stride "
            "(channels of its last feature map, and how much smaller than the image that is)"
        )
    return channels, stride


def feature_level(network: nn.Module, level: int) -> tuple[int, int]:
    """Channels of the map that is `level` times smaller than the images, and its place in `Output.features`.

    Raises:
        ValueError: the network has no such map, or states but its last one.
    """
    channels, stride = feature_shape(network)
    levels: Sequence[tuple[int, int]] = getattr(network, "feature_levels", [(stride, channels)])
    for place in range(-1, -len(levels) - 1, -1):  # of several maps of one size the last
        if levels[place][0] == level:
            return levels[place][1], place
    known = ", ".join(str(factor) for factor in dict.fromkeys(factor for factor, _ in levels))
    raise ValueError(
        f"mapping.level should be one of {known}: by that much maps of {type(network).__name__} are smaller than the "
        f"image, not {level}"
    )


def labelled_images(labelled: Bool[Tensor, "b k"]) -> Float[Tensor, ""]:
    """How many images have any label: what sums over images are divided by (never zero).

    With several processes it is their mean number. Gradients are averaged over processes, so that each image counts the
    same as in one process with all images; a mean of means would let images of a process with few labels count more.
    Every process has to call it at every step.

    >>> import torch
    >>> labelled_images(torch.tensor([[True, False], [False, False]]))
    tensor(1.)
    """
    count = mean_over_processes(labelled.any(1).sum().float())
    return torch.where(count > 0, count, 1.0)
