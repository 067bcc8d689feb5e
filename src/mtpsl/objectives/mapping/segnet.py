"""The conditional mapping network: from a task's prediction or label to the joint space of a pair of tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mtpsl.networks.segnet import STAGE_CHANNELS, STAGE_CONVOLUTIONS, initialize
from mtpsl.objectives.mapping.base import PairMapping, Step
from mtpsl.objectives.mapping.layers import MappingLayer


class MappingNetwork(PairMapping):
    """SegNet's encoder behind one input layer per task, with FiLM after every norm.

    Li, Liu, Bilen, CVPR 2022, section 3.2. The norm takes its statistics from each row alone, which equals the
    published batch norm fed with one image at a time, so that any number of rows can be mapped in one call.
    """

    stage_channels = STAGE_CHANNELS
    most_halvings = len(STAGE_CHANNELS)
    stages: Any  # a list of lists of layers

    def make_layers(self, in_channels: Sequence[int], channels: Sequence[int], pairs: int) -> None:
        """One input layer per task and five stages of SegNet's convolutions."""
        self.inputs = nn.ModuleList(MappingLayer(c, channels[0], 0) for c in in_channels)
        self.stages = nn.ModuleList()
        for before, after, count in zip([channels[0], *channels], channels, STAGE_CONVOLUTIONS, strict=False):
            widths = [before, *[after] * count]
            layers = (MappingLayer(widths[i], after, pairs) for i in range(count))
            number = len(self.stages)
            self.stages.append(Stage(layers, begun=number == 0, halved=number < self.halvings))
        self.apply(initialize)

    def stem(self, encoding: Float[Tensor, "n e h w"], task: int) -> Float[Tensor, "n c h2 w2"]:
        """The task's input layer and the first convolution."""
        return self.stages[0][0].conv(self.enter(encoding, task))

    def steps(self) -> Iterable[tuple[int, Step]]:
        """The stages, each with its pooling."""
        for stage in self.stages:
            yield stage[-1].conv.out_channels, stage


class Stage(nn.ModuleList):
    """The layers of a stage, one after another, and what they give pooled by 2.

    Args:
        layers: its layers.
        begun: whether the first layer's convolution is part of the stem.
        halved: whether it pools.
    """

    def __init__(self, layers: Iterable[MappingLayer], *, begun: bool, halved: bool) -> None:
        super().__init__(layers)
        self.begun, self.halved = begun, halved

    def forward(self, x: Float[Tensor, "r c h w"], pairs: Int[Tensor, " r"]) -> Float[Tensor, "r d h2 w2"]:
        """The next maps of some rows."""
        for index, layer in enumerate(self):
            assert isinstance(layer, MappingLayer)
            x = layer.activate(x, pairs) if self.begun and index == 0 else layer(x, pairs)
        return F.max_pool2d(x, 2) if self.halved else x
