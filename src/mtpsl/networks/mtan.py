"""SegNet with an attention network per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.networks.network import MultiTaskNetwork, scaled
from mtpsl.networks.segnet import STAGE_CHANNELS, STAGE_CONVOLUTIONS, initialize, stage, unpooled
from mtpsl.options import check_positive
from mtpsl.structures import Output

FIRST = 3
"""Layers of a stage's first convolution block: convolution, batch norm, ReLU."""


class Stage(NamedTuple):
    """What a stage of the shared network hands to the attention: the maps after its first and its last block."""

    first: Tensor
    last: Tensor


class MTAN(MultiTaskNetwork):
    """Multi-task attention network: every task selects from a shared SegNet's features by masks of its own.

    Liu, Johns, Davison: End-to-End Multi-Task Learning with Attention, CVPR 2019, section 3. The 3x3 convolutions
    between a task's attention modules in the encoder and in the decoder are shared by all tasks, as published.

    Args:
        out_channels: channels to predict, by task.
        width: factor on every layer's channels; 1 is the published network.
    """

    stride = 32

    def __init__(self, out_channels: Mapping[str, int], *, width: float = 1.0) -> None:
        super().__init__()
        check_positive(width=width)
        channels = [scaled(c, width) for c in STAGE_CHANNELS]
        self.feature_channels = channels[-1]
        self.feature_levels = [(2 ** (number + 1), count) for number, count in enumerate(channels)]
        down = list(zip([3, *channels], channels, STAGE_CONVOLUTIONS, strict=False))
        up = list(zip(channels, [channels[0], *channels], STAGE_CONVOLUTIONS, strict=False))[::-1]
        self.encoder = nn.ModuleList(stage(*shape) for shape in down)
        self.decoder = nn.ModuleList(stage(*shape) for shape in up)
        following = [*channels[1:], channels[-1]]
        self.encoder_links = nn.ModuleList(stage(c, after, 1) for c, after in zip(channels, following, strict=True))
        self.decoder_links = nn.ModuleList(stage(before, after, 1) for before, after, _ in up)
        self.heads = nn.ModuleDict({name: TaskBranch(channels, count) for name, count in out_channels.items()})
        self.apply(initialize)

    def forward_divisible(self, images: Float[Tensor, "b c h w"]) -> Output:
        """Predict every task; features are the five pooled maps of the shared encoder."""
        encoded, decoded, features, indices = [], [], [], []
        x = images
        for block in self.encoder:
            maps = run_stage(block, x)
            x, index = F.max_pool2d(maps.last, 2, return_indices=True)
            encoded.append(maps)
            features.append(x)
            indices.append(index)
        for block, index in zip(self.decoder, reversed(indices), strict=True):
            enlarged = unpooled(x, index)
            x = run_stage(block, enlarged).last
            decoded.append(Stage(enlarged, x))
        predictions = {
            name: branch(encoded, decoded, self.encoder_links, self.decoder_links).float()
            for name, branch in self.heads.items()
        }
        return Output(predictions, features)


class TaskBranch(nn.Module):
    """One task's attention modules along the shared network, and its head.

    Args:
        channels: those of the shared encoder's stages.
        out_channels: channels to predict.
    """

    def __init__(self, channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.encoder_attention = nn.ModuleList(
            attention(c if number == 0 else 2 * c, c) for number, c in enumerate(channels)
        )
        up = list(zip(channels, [channels[0], *channels], strict=False))[::-1]
        self.decoder_attention = nn.ModuleList(attention(before + after, after) for before, after in up)
        first = channels[0]
        self.head = nn.Sequential(nn.Conv2d(first, first, 3, padding=1), nn.Conv2d(first, out_channels, 1))

    def forward(
        self,
        encoded: Sequence[Stage],
        decoded: Sequence[Stage],
        encoder_links: nn.ModuleList,
        decoder_links: nn.ModuleList,
    ) -> Float[Tensor, "b c h w"]:
        """The prediction from the shared network's maps, fine to coarse and back."""
        x: Tensor | None = None
        for maps, attend, link in zip(encoded, self.encoder_attention, encoder_links, strict=True):
            seen = maps.first if x is None else torch.cat([maps.first, x], 1)
            x = F.max_pool2d(link(attend(seen) * maps.last), 2)
        assert x is not None
        for maps, attend, link in zip(decoded, self.decoder_attention, decoder_links, strict=True):
            x = link(F.interpolate(x, size=maps.first.shape[-2:], mode="bilinear", align_corners=True))
            x = attend(torch.cat([maps.first, x], 1)) * maps.last
        prediction: Tensor = self.head(x)
        return prediction


def attention(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 1x1 convolutions, each with batch norm, that end in a mask from 0 to 1."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 1),
        nn.BatchNorm2d(out_channels),
        nn.Sigmoid(),
    )


def run_stage(block: nn.Module, x: Tensor) -> Stage:
    """A stage of SegNet, keeping the map after its first convolution block."""
    assert isinstance(block, nn.Sequential)
    first = block[:FIRST](x)
    return Stage(first, block[FIRST:](first))
