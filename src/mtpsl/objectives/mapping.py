"""The conditional mapping network: from a task's prediction or label to the joint space of a pair of tasks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mtpsl.networks.network import scaled
from mtpsl.networks.segnet import STAGE_CHANNELS, STAGE_CONVOLUTIONS, initialize

CPU_ELEMENTS = 2 * 64 * 96 * 128
"""Elements of a step's widest map that are mapped at once on a CPU."""

ROWS_IN_A_CHAIN = 8
"""How many times as many rows go through all steps before the next ones: late steps, of small maps, like many rows."""

Step = Callable[[Tensor, Tensor], Tensor]
"""From the maps and pairs of some rows to their next maps."""


class PairMapping(nn.Module, ABC):
    """What maps the encoding of a prediction or label to the joint space of a pair of tasks, for many rows at once.

    A subclass has one input layer per task in `inputs`, and FiLM parameters called `gamma` and `beta`.

    Args:
        in_channels: channels of the encodings, by task, in the order of the task indices.
        stride: how much smaller than the encoding the result is, a power of two.
        mapping_stride: average-pool the encoding by 1 (published) or 2; the result keeps its size.

    Raises:
        ValueError: `stride` or `mapping_stride` is not a power of two that can be reached.
    """

    #: how often a subclass can halve its maps
    most_halvings = 5
    #: keep only what each step takes in, and compute the step again in the backward pass
    checkpoint = False
    inputs: nn.ModuleList

    def __init__(self, in_channels: Sequence[int], *, stride: int, mapping_stride: int) -> None:
        super().__init__()
        self.num_tasks = len(in_channels)
        self.mapping_stride = mapping_stride
        known = mapping_stride in (1, 2) and stride > 0
        halvings = math.log2(stride / mapping_stride) if known else math.nan
        if not halvings.is_integer() or not 0 <= halvings <= self.most_halvings:
            raise ValueError(
                f"stride should be a power of two up to {2**self.most_halvings} and mapping_stride 1 or 2, "
                f"not {stride} and {mapping_stride}"
            )
        self.halvings = int(halvings)

    @abstractmethod
    def stem(self, encoding: Float[Tensor, "n e h w"], task: int) -> Float[Tensor, "n c h2 w2"]:
        """What does not depend on the pair, to be shared by pairs: the task's input layer, perhaps more."""

    @abstractmethod
    def steps(self) -> Iterable[tuple[int, Step]]:
        """What follows the stem, one after another, each with the channels of its widest map."""

    def forward(self, stems: Float[Tensor, "r c h w"], pairs: Int[Tensor, " r"]) -> Float[Tensor, "r d h2 w2"]:
        """Map each row to the joint space of its pair (`pairs.pair_index`).

        Rows do not see each other, so a CPU takes no more of them at once through a step than its memory is good for:
        a few large maps fill its cores as well as many do, and the buffers that a layer needs for a moment (the
        gradient of its output, weights' layouts) are as large as the rows of a call.
        """
        chains = self._few(stems, pairs, stems.shape[1:].numel() // ROWS_IN_A_CHAIN)
        return joined([self._chain(some, which) for some, which in chains])

    def _chain(self, x: Float[Tensor, "r c h w"], pairs: Int[Tensor, " r"]) -> Float[Tensor, "r d h2 w2"]:
        for channels, step in self.steps():
            widest = max(x.shape[1], channels) * x.shape[2] * x.shape[3]
            x = joined([self._step(step, some, which) for some, which in self._few(x, pairs, widest)])
        return x

    def _step(self, step: Step, x: Tensor, pairs: Tensor) -> Tensor:
        if not self.checkpoint:
            return step(x, pairs)
        return checkpoint(step, x, pairs, use_reentrant=False, preserve_rng_state=False)

    def _few(self, x: Tensor, pairs: Tensor, elements: int) -> Iterable[tuple[Tensor, Tensor]]:
        """The rows, on a CPU only some at once, of so many elements each."""
        most = max(1, CPU_ELEMENTS // max(1, elements)) if x.device.type == "cpu" else len(x)
        return zip(x.split(most), pairs.split(most), strict=True)

    def entered(self, encoding: Float[Tensor, "n e h w"], task: int) -> Float[Tensor, "n c h2 w2"]:
        """The encoding, pooled where that is asked for, behind the task's input layer."""
        x = F.avg_pool2d(encoding, self.mapping_stride) if self.mapping_stride > 1 else encoding
        return self.inputs[task](x)

    def conditioning(self) -> list[nn.Parameter]:
        """The FiLM parameters."""
        return [p for name, p in self.named_parameters() if name.endswith(("gamma", "beta"))]

    def backbone(self) -> list[nn.Parameter]:
        """All other parameters."""
        return [p for name, p in self.named_parameters() if not name.endswith(("gamma", "beta"))]


class MappingNetwork(PairMapping):
    """SegNet's encoder behind one input layer per task, with FiLM after every norm.

    Li, Liu, Bilen, CVPR 2022, section 3.2. The norm takes its statistics from each row alone, which equals the
    published batch norm fed with one image at a time, so that any number of rows can be mapped in one call.

    Args:
        in_channels: channels of the encodings, by task, in the order of the task indices.
        out_channels: channels of the result: those of the network's last feature map.
        stride: how much smaller than the input the result is, a power of two.
        width: factor on the channels of all layers but the last stage's.
        conditional: condition on the pair of tasks; without it one mapping serves all pairs ("w/o cond").
        mapping_stride: average-pool the input by 1 (published) or 2; the result keeps its size.

    Raises:
        ValueError: `stride` or `mapping_stride` is not a power of two that the stages can reach.
    """

    most_halvings = len(STAGE_CHANNELS)

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        *,
        stride: int = 32,
        width: float = 1.0,
        conditional: bool = True,
        mapping_stride: int = 1,
    ) -> None:
        super().__init__(in_channels, stride=stride, mapping_stride=mapping_stride)
        channels = [*(scaled(c, width) for c in STAGE_CHANNELS[:-1]), out_channels]
        self.inputs = nn.ModuleList(MappingLayer(c, channels[0], 0) for c in in_channels)
        pairs = self.num_tasks * (self.num_tasks - 1) if conditional else 0
        self.stages = nn.ModuleList()
        for before, after, count in zip([channels[0], *channels], channels, STAGE_CONVOLUTIONS, strict=False):
            widths = [before, *[after] * count]
            self.stages.append(nn.ModuleList(MappingLayer(widths[i], after, pairs) for i in range(count)))
        self.apply(initialize)

    def stem(self, encoding: Float[Tensor, "n e h w"], task: int) -> Float[Tensor, "n c h2 w2"]:
        """The task's input layer and the first convolution."""
        return self._stages()[0][0].conv(self.entered(encoding, task))

    def steps(self) -> Iterable[tuple[int, Step]]:
        """The stages, each with its pooling."""
        for number, layers in enumerate(self._stages()):
            yield layers[-1].conv.out_channels, partial(self._stage, number)

    def _stage(self, number: int, x: Float[Tensor, "r c h w"], pairs: Int[Tensor, " r"]) -> Float[Tensor, "r d h2 w2"]:
        for index, layer in enumerate(self._stages()[number]):
            first = number == index == 0  # its convolution is part of the stem
            x = layer.activate(x, pairs) if first else layer(x, pairs)
        return F.max_pool2d(x, 2) if number < self.halvings else x

    def _stages(self) -> list[list[MappingLayer]]:
        return cast("list[list[MappingLayer]]", self.stages)


class MappingLayer(nn.Module):
    """3x3 convolution, `RowNorm`, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, pairs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, stride=stride)
        self.norm = RowNorm(out_channels, pairs)

    def forward(
        self, x: Float[Tensor, "r c h w"], pairs: Int[Tensor, " r"] | None = None
    ) -> Float[Tensor, "r d h2 w2"]:
        """All three."""
        return self.activate(self.conv(x), pairs)

    def activate(self, x: Float[Tensor, "r d h w"], pairs: Int[Tensor, " r"] | None) -> Float[Tensor, "r d h w"]:
        """What follows the convolution."""
        return F.relu(self.norm(x, pairs))  # the norm's result is a view: in place, its gradient would be copied


class RowNorm(nn.Module):
    """Normalize every channel of every row over its pixels, then affine, then FiLM with the row's pair.

    gamma * (weight * x + bias) + beta is ONE affine map per row and channel: the whole layer is a single norm over rows
    times channels. On a CPU that is a group norm with a group for each of them, which takes half as long as a batch
    norm (torch 2.15); elsewhere a batch norm, which mixed precision leaves in 16 bits.

    Args:
        channels: channels of the input.
        pairs: number of task pairs; 0 for no FiLM.
    """

    eps = 1e-5

    def __init__(self, channels: int, pairs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.gamma = nn.Parameter(torch.ones(pairs, channels)) if pairs else None
        self.beta = nn.Parameter(torch.zeros(pairs, channels)) if pairs else None

    def forward(self, x: Float[Tensor, "r c h w"], pairs: Int[Tensor, " r"] | None = None) -> Float[Tensor, "r c h w"]:
        """Normalize; `pairs` selects the FiLM parameters of each row."""
        rows, channels, height, width = x.shape
        weight, bias = self.weight.expand(rows, -1), self.bias.expand(rows, -1)
        if self.gamma is not None and self.beta is not None and pairs is not None:
            gamma = self.gamma[pairs]
            weight, bias = gamma * weight, gamma * bias + self.beta[pairs]
        flat = x.reshape(1, rows * channels, height, width)
        scale, shift = weight.reshape(-1), bias.reshape(-1)
        if x.device.type == "cpu":
            out = torch.group_norm(flat, rows * channels, scale, shift, self.eps)
        else:
            out = torch.batch_norm(flat, scale, shift, None, None, True, 0.0, self.eps, torch.backends.cudnn.enabled)
        return out.view(rows, channels, height, width)


def joined(parts: list[Float[Tensor, "_ c h w"]]) -> Float[Tensor, "r c h w"]:
    """All rows of some parts."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def cosine_distance(a: Float[Tensor, "r c h w"], b: Float[Tensor, "r c h w"]) -> Float[Tensor, " r"]:
    """One minus the cosine over channels, averaged over pixels (in float32)."""
    return (1 - F.cosine_similarity(a.float(), b.float(), dim=1)).mean((-2, -1))
