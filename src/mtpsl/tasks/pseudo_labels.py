"""Labels made of predictions: what several predictions of an image agree on, and where that is sure enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mtpsl.options import check_share
from mtpsl.processes import sum_over_processes
from mtpsl.tasks.base import Task

BINS = 1000
"""Steps of certainty that are told apart when a share of the pixels is chosen."""


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Which pixels of a predicted label count.

    Args:
        probability: what is chosen (a class, an edge or none) counts from this probability on.
        class_share: the surest pixels of each class count whatever their probability, this share of them, so that rare
            classes do not vanish.
        value_share: of what is measured (depth, normals, other numbers), the share of pixels that counts: those where
            the predictions (for the image and for its mirror image) differ least, relative to their size.
    """

    probability: float = 0.8
    class_share: float = 0.2
    value_share: float = 0.8

    def __post_init__(self) -> None:
        check_share("certainty", **{"confidence.probability": self.probability})
        check_share("a class's pixels", **{"confidence.class_share": self.class_share})
        check_share("the pixels", **{"confidence.value_share": self.value_share})


@dataclass(frozen=True)
class Judged:
    """The label that predictions of the same images give together, and how sure it is.

    Attributes:
        label: in the form of the task's labels; of classes that are there or not (edges) their probabilities.
        certainty: from 0 to 1: the probability of what is chosen, or how well measured values agree.
        group: the class of each pixel, among which certainty is compared; 0 where nothing is chosen.
    """

    label: Tensor
    certainty: Float[Tensor, "b h w"]
    group: Int[Tensor, "b h w"]


def judge(
    task: Task, prediction: Float[Tensor, "b c h w"], mirrored: Float[Tensor, "b c h w"], *, hard: bool = False
) -> Judged:
    """What raw predictions for images and for their mirror images say together: their mean, and how sure it is.

    Args:
        task: what is predicted.
        prediction: for the images.
        mirrored: for the images flipped left to right, as the network gives it.
        hard: make of probabilities of what is there or not (edges) labels 0 and 1, and take from them what weights of
            the loss have added.

    >>> from mtpsl.tasks import Depth
    >>> judged = judge(Depth(), torch.tensor([[[[3.0, 1.0]]]]), torch.tensor([[[[1.0, 1.0]]]]))
    >>> judged.label, judged.certainty
    (tensor([[[[2., 1.]]]]), tensor([[[0.5000, 1.0000]]]))
    """
    return agree(task, both_views(task, prediction, mirrored, hard=hard), hard=hard)


def both_views(
    task: Task, prediction: Float[Tensor, "b c h w"], mirrored: Float[Tensor, "b c h w"], *, hard: bool = False
) -> list[Float[Tensor, "b c h w"]]:
    """What raw predictions for images and for their mirror images say of the images; arguments as those of `judge`."""
    views = [task.soft(prediction.float()), task.mirror(task.soft(mirrored.float()).flip(-1))]
    return [task.unweighted(view) for view in views] if hard else views


def agree(task: Task, views: Sequence[Float[Tensor, "b c h w"]], *, hard: bool = False) -> Judged:
    """The mean of what networks say of images, and how sure it is; measured values are by how little they differ.

    Args:
        task: what is predicted.
        views: probabilities or values of each network and view (`both_views`), one at least.
        hard: make of probabilities of what is there or not labels 0 and 1.

    >>> from mtpsl.tasks import Depth
    >>> judged = agree(Depth(), [torch.full((1, 1, 1, 1), depth) for depth in (1.0, 2.0, 3.0)])
    >>> judged.label.item(), round(judged.certainty.item(), 4)  # the mean distance from 2 is 2 / 3
    (2.0, 0.6667)
    """
    mean = torch.stack([*views]).mean(0)
    certainty = task.soft_confidence(mean)
    if certainty is None:
        apart = torch.stack([norm(view - mean) for view in views]).sum(0)
        lengths = torch.stack([norm(view) for view in views]).sum(0)
        return Judged(task.label_from(mean), 1 - apart / lengths.clamp(min=1e-12), group_zero(mean))
    if task.target_spec.channels == 0:
        label = task.label_from(mean)
        return Judged(label, certainty, label)
    most, which = mean.max(1)
    label = (mean > 0.5).to(mean.dtype) if hard else task.label_from(mean)
    return Judged(label, certainty, torch.where(most > 0.5, which + 1, 0))


def number_of_groups(task: Task) -> int:
    """How many classes `Judged.group` tells apart."""
    if task.soft_confidence(torch.zeros(1, task.out_channels, 1, 1, device="cpu")) is None:
        return 1
    return task.out_channels + (1 if task.target_spec.channels else 0)


class Certainty(nn.Module):
    """How sure the pixels of every task and class are, and from where on one counts.

    Histograms of what was counted, the same in all processes, in which earlier batches fade.

    Args:
        tasks: the tasks.
        confidence: what counts.
        decay: how much of the histograms a batch leaves: 1 to count a whole set.
    """

    histogram: Float[Tensor, "groups bins"]

    def __init__(self, tasks: list[Task], confidence: Confidence, *, decay: float = 0.98) -> None:
        super().__init__()
        self.confidence, self.decay = confidence, decay
        self.tasks, self.groups = {task.name: task for task in tasks}, [number_of_groups(task) for task in tasks]
        self.register_buffer("histogram", torch.zeros(sum(self.groups), BINS))

    @torch.no_grad()
    def count(self, judged: dict[str, Judged], wanted: dict[str, Bool[Tensor, " b"]]) -> None:
        """Add a batch, of each task the images that are wanted; every process has to call it."""
        counted = torch.zeros_like(self.histogram)
        for rows, name in zip(counted.split(self.groups), self.tasks, strict=True):
            if name not in judged:
                continue
            one = judged[name]
            place = one.group * BINS + bins(one.certainty)
            weight = wanted[name].to(counted.dtype).view(-1, 1, 1).expand_as(place)
            rows.view(-1).index_add_(0, place.flatten(), weight.flatten())
        self.histogram.mul_(self.decay).add_(sum_over_processes(counted))

    @torch.no_grad()
    def counts(self, judged: dict[str, Judged]) -> dict[str, Bool[Tensor, "b h w"]]:
        """Which pixels are sure enough, by task."""
        chosen = {}
        for rows, name in zip(self.histogram.split(self.groups), self.tasks, strict=True):
            if name not in judged:
                continue
            one = judged[name]
            measured = len(rows) == 1
            share = self.confidence.value_share if measured else self.confidence.class_share
            chosen[name] = bins(one.certainty) >= lowest_bin(rows, share)[one.group]
            if not measured:
                chosen[name] |= one.certainty >= self.confidence.probability
        return chosen


def lowest_bin(histogram: Float[Tensor, "groups bins"], share: float) -> Int[Tensor, " groups"]:
    """The highest bin of each group from which on at least a share of the group lies; one past the last for none.

    >>> lowest_bin(torch.tensor([[2.0, 1.0, 1.0], [0.0, 4.0, 0.0]]), 0.5), lowest_bin(torch.ones(1, 2), 0.0)
    (tensor([1, 1]), tensor([2]))
    """
    above = histogram.flip(1).cumsum(1).flip(1)
    return torch.cat([above[:, 1:], torch.zeros_like(above[:, :1])], 1).ge(share * above[:, :1]).sum(1)


def bins(certainty: Float[Tensor, "b h w"]) -> Int[Tensor, "b h w"]:
    """The bin of each pixel; what is no number is not sure at all."""
    return (certainty.nan_to_num(0.0, 0.0, 0.0) * BINS).long().clamp(0, BINS - 1)


def norm(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
    """The length of each pixel's vector."""
    return x.square().sum(1).sqrt()


def group_zero(x: Float[Tensor, "b c h w"]) -> Int[Tensor, "b h w"]:
    """One group for all pixels."""
    return torch.zeros_like(x[:, 0], dtype=torch.long)
