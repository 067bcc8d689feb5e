"""What a mapping to the joint space of a pair of tasks is, and how a CPU takes its rows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mtpsl.networks.network import scaled
from mtpsl.objectives.fixed import call_fixed

CPU_ELEMENTS = 2 * 64 * 96 * 128
"""Elements of a step's widest map that are mapped at once on a CPU."""

ROWS_IN_A_CHAIN = 8
"""How many times as many rows go through all steps before the next ones: late steps, of small maps, like many rows."""

Step = Callable[[Tensor, Tensor], Tensor]
"""From the maps and pairs of some rows to their next maps; a module."""


class PairMapping(nn.Module, ABC):
    """What maps the encoding of a prediction or label to the joint space of a pair of tasks, for many rows at once.

    A subclass makes one input layer per task in `inputs`, and FiLM parameters called `gamma` and `beta`.

    Args:
        in_channels: channels of the encodings, by task, in the order of the task indices.
        out_channels: channels of the result: those of the network's last feature map.
        stride: how much smaller than the encoding the result is, a power of two.
        width: factor on the channels of all layers but the last stage's.
        conditional: condition on the pair of tasks; without it one mapping serves all pairs ("w/o cond").
        mapping_stride: average-pool the encoding by 1 (published) or 2; the result keeps its size.

    Raises:
        ValueError: `stride` or `mapping_stride` is not a power of two that can be reached.
    """

    #: the published channels of the stages, of which the last one gets `out_channels`
    stage_channels: ClassVar[tuple[int, ...]]
    #: how often a subclass can halve its maps
    most_halvings: ClassVar[int] = 5
    #: keep only what each step takes in, and compute the step again in the backward pass
    checkpoint = False
    inputs: nn.ModuleList

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        *,
        stride: int,
        width: float = 1.0,
        conditional: bool = True,
        mapping_stride: int = 1,
    ) -> None:
        super().__init__()
        self.mapping_stride = mapping_stride
        known = mapping_stride in (1, 2) and stride > 0
        halvings = math.log2(stride / mapping_stride) if known else math.nan
        if not halvings.is_integer() or not 0 <= halvings <= self.most_halvings:
            raise ValueError(
                f"stride should be a power of two up to {2**self.most_halvings} and mapping_stride 1 or 2, "
                f"not {stride} and {mapping_stride}"
            )
        self.halvings = int(halvings)
        pairs = len(in_channels) * (len(in_channels) - 1) if conditional else 0
        self.make_layers(in_channels, [*(scaled(c, width) for c in self.stage_channels[:-1]), out_channels], pairs)

    @abstractmethod
    def make_layers(self, in_channels: Sequence[int], channels: Sequence[int], pairs: int) -> None:
        """Make the layers, with stages of these channels, conditioned on so many pairs (0: on none)."""

    @abstractmethod
    def stem(self, encoding: Float[Tensor, "n e h w"], task: int) -> Float[Tensor, "n c h2 w2"]:
        """What does not depend on the pair, to be shared by pairs: the task's input layer, perhaps more."""

    @abstractmethod
    def steps(self) -> Iterable[tuple[int, Step]]:
        """What follows the stem, one after another, each with the channels of its widest map."""

    def forward(self, stems: Float[Tensor, "r c h w"], pairs: Int[Tensor, " r"]) -> Float[Tensor, "r d h2 w2"]:
        """Map each row to the joint space of its pair (`pairs.Pair.column`).

        Rows do not see each other, so a CPU takes no more of them at once through a step than its memory is good for:
        a few large maps fill its cores as well as many do, and the buffers that a layer needs for a moment (the
        gradient of its output, weights' layouts) are as large as the rows of a call.
        """
        chains = split_rows(stems, pairs, stems.shape[1:].numel() // ROWS_IN_A_CHAIN)
        return join_rows([self._chain(x, columns) for x, columns in chains])

    def _chain(self, x: Float[Tensor, "r c h w"], pairs: Int[Tensor, " r"]) -> Float[Tensor, "r d h2 w2"]:
        for channels, step in self.steps():
            widest = max(x.shape[1], channels) * x.shape[2] * x.shape[3]
            x = join_rows([self._step(step, rows, columns) for rows, columns in split_rows(x, pairs, widest)])
        return x

    def _step(self, step: Step, x: Tensor, pairs: Tensor) -> Tensor:
        if not self.checkpoint:
            return step(x, pairs)
        assert isinstance(step, nn.Module)
        is_fixed = not any(parameter.requires_grad for parameter in step.parameters())
        again = partial(call_fixed, step) if is_fixed else step  # the backward pass computes it outside of `fixed`
        return checkpoint(again, x, pairs, use_reentrant=False, preserve_rng_state=False)

    def compile_steps(self) -> None:
        """Let torch.compile compile what follows the stem, step by step: rows come in few numbers at a time."""
        for _, step in self.steps():
            assert isinstance(step, nn.Module)
            step.compile()

    def enter(self, encoding: Float[Tensor, "n e h w"], task: int) -> Float[Tensor, "n c h2 w2"]:
        """The encoding, pooled where that is asked for, behind the task's input layer."""
        x = F.avg_pool2d(encoding, self.mapping_stride) if self.mapping_stride > 1 else encoding
        return self.inputs[task](x)

    def conditioning(self) -> list[nn.Parameter]:
        """The FiLM parameters."""
        return [p for name, p in self.named_parameters() if name.endswith(("gamma", "beta"))]

    def backbone(self) -> list[nn.Parameter]:
        """All other parameters."""
        return [p for name, p in self.named_parameters() if not name.endswith(("gamma", "beta"))]


def split_rows(x: Tensor, pairs: Tensor, elements: int) -> Iterable[tuple[Tensor, Tensor]]:
    """The rows, on a CPU only some at once, of so many elements each."""
    most = max(1, CPU_ELEMENTS // max(1, elements)) if x.device.type == "cpu" else len(x)
    return zip(x.split(most), pairs.split(most), strict=True)


def join_rows(parts: list[Float[Tensor, "_ c h w"]]) -> Float[Tensor, "r c h w"]:
    """All rows of some parts."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)
