"""The conditional mapping network made of ResNet's residual blocks, for PASCAL-Context."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mtpsl.objectives.mapping.base import PairMapping, Step
from mtpsl.objectives.mapping.layers import MappingLayer, RowNorm


class ResidualMapping(PairMapping):
    """ResNet-18's residual blocks behind one input layer per task, with FiLM after every norm.

    Li, Liu, Bilen, CVPR 2022, supplement A: "We modify the ResNet-18 to have task specific input layers (one
    convolutional layer for each task) before the residual blocks as the mapping function". No code of it was published.
    Our choices: the input layer is a 3x3 convolution with norm and ReLU, as in the authors' mapping for SegNet. It
    stands in the place of ResNet's first convolution, so it has that one's stride and ResNet's max-pooling follows.
    Where the result is larger than a 32nd of the input, the last stages are dilated instead of strided, as in the
    network's encoder. FiLM follows the norm on a shortcut, too; the norm takes its statistics from each row alone, and
    weights start at random (He normal).
    """

    stage_channels = (64, 128, 256, 512)  # of ResNet-18's four stages, each of two blocks

    def make_layers(self, in_channels: Sequence[int], channels: Sequence[int], pairs: int) -> None:
        """One input layer per task and four stages of two blocks."""
        strided = [place < self.halvings for place in range(self.most_halvings)]  # input, pool, stages 2, 3, 4
        self.inputs = nn.ModuleList(MappingLayer(c, channels[0], 0, stride=1 + strided[0]) for c in in_channels)
        self.pooled = strided[1]
        self.blocks = nn.ModuleList()
        before, dilation = channels[0], 1
        for number, after in enumerate(channels):
            halved = number > 0 and strided[number + 1]
            first_dilation, dilation = dilation, dilation * (1 if number == 0 or halved else 2)
            self.blocks.append(ResidualBlock(before, after, pairs, 1 + halved, (first_dilation, dilation)))
            self.blocks.append(ResidualBlock(after, after, pairs, 1, (dilation, dilation)))
            before = after
        self.apply(initialize)

    def stem(self, encoding: Float[Tensor, "n e h w"], task: int) -> Float[Tensor, "n c h2 w2"]:
        """The task's input layer and the pooling."""
        x = self.enter(encoding, task)
        return F.max_pool2d(x, 3, stride=2, padding=1) if self.pooled else x

    def steps(self) -> Iterable[tuple[int, Step]]:
        """The blocks."""
        for block in self.blocks:
            assert isinstance(block, ResidualBlock)
            yield block.conv1.out_channels, block


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with norm and FiLM beside a shortcut; ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the result.
        pairs: number of task pairs; 0 for no FiLM.
        stride: of the first convolution and the shortcut.
        dilations: of both convolutions.
    """

    def __init__(
        self, in_channels: int, out_channels: int, pairs: int, stride: int, dilations: tuple[int, int]
    ) -> None:
        super().__init__()
        first, second = dilations
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, first, first, bias=False)
        self.norm1 = RowNorm(out_channels, pairs)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, second, second, bias=False)
        self.norm2 = RowNorm(out_channels, pairs)
        same = stride == 1 and in_channels == out_channels
        self.shortcut = None if same else nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        self.shortcut_norm = None if same else RowNorm(out_channels, pairs)

    def forward(self, x: Float[Tensor, "r c h w"], pairs: Int[Tensor, " r"]) -> Float[Tensor, "r d h2 w2"]:
        """The block's result."""
        inner = F.relu(self.norm1(self.conv1(x), pairs))
        inner = self.norm2(self.conv2(inner), pairs)
        if self.shortcut is not None and self.shortcut_norm is not None:
            x = self.shortcut_norm(self.shortcut(x), pairs)
        return F.relu(inner + x, inplace=True)


def initialize(module: nn.Module) -> None:
    """He normal weights and zero bias, as in ResNet."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
