"""How joint-task regularization stacks tasks, and how it compares what its auto-encoder rebuilds."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.tasks import ClassMap, Depth, Normals, Task
from mtpsl.tasks.binary import BinaryTask


class JointEncoding:
    """A task's encodings for a mapping network, compared by their absolute difference; for tasks of any kind.

    Maps are multiplied by `mask` (b, 1, h, w) where the authors' code does so.

    Args:
        task: the task.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def prediction(self, raw: Tensor, mask: Tensor, *, hard: bool) -> Float[Tensor, "b e h w"]:
        """What a prediction puts into a stack; `hard` draws classes instead of giving probabilities."""
        return self.task.encode_prediction(raw) * mask

    def target(self, label: Tensor, valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b e h w"]:
        """What a label puts into a stack."""
        return self.task.encode_target(label, valid)

    def rebuilt_prediction(self, raw: Tensor, mask: Tensor) -> Tensor:
        """What a prediction in the stack with labels is rebuilt as."""
        return self.prediction(raw, mask, hard=True)

    def rebuilt_label(self, label: Tensor, valid: Bool[Tensor, "b h w"]) -> Tensor:
        """What a label is rebuilt as."""
        return self.target(label, valid)

    def error(self, rebuilt: Tensor, values: Tensor, mask: Tensor) -> Float[Tensor, " b"]:
        """How far what was rebuilt is from it."""
        return mean_over((rebuilt - values).abs() * mask, mask)


class OfClasses(JointEncoding):
    """One-hot maps and binary cross-entropy of every class, summed over classes."""

    def prediction(self, raw: Tensor, mask: Tensor, *, hard: bool) -> Float[Tensor, "b e h w"]:
        """A sampled one-hot map, or the probabilities."""
        return (self.task.encode_prediction(raw) if hard else self.task.soft(raw)) * mask

    def error(self, rebuilt: Tensor, values: Tensor, mask: Tensor) -> Float[Tensor, " b"]:
        """Cross-entropy over the number of pixels that have a class."""
        entropy = F.binary_cross_entropy_with_logits(rebuilt, values, reduction="none") * mask
        return mean_over(entropy, mask if isinstance(self.task, BinaryTask) else values)


class OfDepth(JointEncoding):
    """The share of a normal distribution below a depth, and the absolute difference.

    Args:
        task: the task.
        mean: of the distribution.
        std: its standard deviation.
    """

    def __init__(self, task: Task, mean: float, std: float) -> None:
        super().__init__(task)
        self.mean, self.std = mean, std

    def below(self, depth: Tensor) -> Tensor:
        """The normal distribution function."""
        return 0.5 * (1 + torch.erf((depth - self.mean) / (self.std * math.sqrt(2))))

    def prediction(self, raw: Tensor, mask: Tensor, *, hard: bool) -> Float[Tensor, "b e h w"]:
        """Of the prediction, and of 0 outside of the mask."""
        return self.below(raw * mask)

    def target(self, label: Tensor, valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b e h w"]:
        """Of the label, and of 0 where there is none."""
        return self.below(self.rebuilt_label(label, valid))

    def rebuilt_prediction(self, raw: Tensor, mask: Tensor) -> Tensor:
        """The depth itself."""
        return raw

    def rebuilt_label(self, label: Tensor, valid: Bool[Tensor, "b h w"]) -> Tensor:
        """The depth itself."""
        return label.masked_fill(~valid[:, None], 0.0)

    def error(self, rebuilt: Tensor, values: Tensor, mask: Tensor) -> Float[Tensor, " b"]:
        """Between a sigmoid and the distribution function of the values."""
        share = (rebuilt.sigmoid() - 0.5) * (1 - 1e-5) + 0.5
        return mean_over((share - self.below(values)).abs() * mask, values)


class OfNormals(JointEncoding):
    """Unit vectors brought to 0..1, and the cosine."""

    def prediction(self, raw: Tensor, mask: Tensor, *, hard: bool) -> Float[Tensor, "b e h w"]:
        """Of the prediction, and of the zero vector outside of the mask."""
        return (self.task.decode(raw) * mask + 1) / 2

    def rebuilt_prediction(self, raw: Tensor, mask: Tensor) -> Tensor:
        """The vectors themselves."""
        return self.task.decode(raw)

    def rebuilt_label(self, label: Tensor, valid: Bool[Tensor, "b h w"]) -> Tensor:
        """The vectors themselves."""
        return label.masked_fill(~valid[:, None], 0.0)

    def error(self, rebuilt: Tensor, values: Tensor, mask: Tensor) -> Float[Tensor, " b"]:
        """One minus the mean product of two components."""
        return 1 - mean_over(F.normalize(rebuilt, dim=1) * values * mask, values)


def joint_encoding(task: Task, depth_mean: float, depth_std: float) -> JointEncoding:
    """The encoding of a task's kind."""
    if isinstance(task, ClassMap | BinaryTask):
        return OfClasses(task)
    if isinstance(task, Depth):
        return OfDepth(task, depth_mean, depth_std)
    return OfNormals(task) if isinstance(task, Normals) else JointEncoding(task)


def mean_over(x: Float[Tensor, "b e h w"], counted: Tensor) -> Float[Tensor, " b"]:
    """The sum of each image over how many values of `counted` are not zero, as the authors' code has it."""
    return x.flatten(1).sum(1) / (counted != 0).flatten(1).sum(1).clamp(min=1)
