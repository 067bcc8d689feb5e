"""SegNet with one head per task."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mtpsl.networks.network import MultiTaskNetwork, recorded, scaled
from mtpsl.options import check_positive
from mtpsl.structures import Output

STAGE_CHANNELS = (64, 128, 256, 512, 512)
"""Channels after each of the five stages of a SegNet (that is, VGG-16) encoder."""
STAGE_CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Convolutions in each stage."""


class SegNet(MultiTaskNetwork):
    """Shared encoder and decoder that hands pooling indices over; two convolutions per task as its head.

    Badrinarayanan, Kendall, Cipolla: SegNet, TPAMI 2017, in the form of Liu, Johns, Davison (MTAN), CVPR 2019, that the
    paper trains on NYU-v2 and Cityscapes.

    Args:
        out_channels: channels to predict, by task.
        width: factor on every layer's channels; 1 is the published network.
        in_channels: channels of the input.
    """

    stride = 32

    def __init__(self, out_channels: Mapping[str, int], *, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__()
        check_positive(width=width)
        channels = [scaled(c, width) for c in STAGE_CHANNELS]
        self.feature_channels = channels[-1]
        self.feature_levels = [(2 ** (number + 1), count) for number, count in enumerate(channels)]
        self.encoder = nn.ModuleList(
            stage(before, after, count)
            for before, after, count in zip([in_channels, *channels], channels, STAGE_CONVOLUTIONS, strict=False)
        )
        self.decoder = nn.ModuleList(
            stage(before, after, count)
            for before, after, count in zip(channels, [channels[0], *channels], STAGE_CONVOLUTIONS, strict=False)
        )
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Conv2d(channels[0], channels[0], 3, padding=1), nn.Conv2d(channels[0], count, 1))
                for name, count in out_channels.items()
            }
        )
        self.apply(initialize)

    def forward_divisible(self, images: Float[Tensor, "b c h w"]) -> Output:
        """Predict every task; features are the five pooled maps."""
        features, indices = self.encode(images)
        x = features[-1]
        for block, index in zip(reversed(self.decoder), reversed(indices), strict=True):
            x = block(unpooled(x, index))
        return Output({name: head(x).float() for name, head in self.heads.items()}, features)

    def encode(self, images: Float[Tensor, "b c h w"]) -> tuple[list[Tensor], list[Tensor]]:
        """The five pooled maps and where each of their values came from."""
        x, features, indices = images, [], []
        for block in self.encoder:
            x, index = F.max_pool2d(block(x), 2, return_indices=True)
            features.append(x)
            indices.append(index)
        return features, indices


def unpooled(x: Float[Tensor, "b c h w"], index: Int[Tensor, "b c h w"]) -> Float[Tensor, "b c 2*h 2*w"]:
    """Put values back where pooling over 2 x 2 pixels took them from; zero elsewhere."""
    if not recorded():
        return F.max_unpool2d(x, index, [2, 2])
    # torch 2.15 does not trace max_unpool2d, and ONNX does not know it
    batch, channels, height, width = x.shape
    empty = x.new_zeros((batch, channels, 4 * height * width))
    return empty.scatter(2, index.flatten(2), x.flatten(2)).view(batch, channels, 2 * height, 2 * width)


def stage(in_channels: int, out_channels: int, count: int) -> nn.Sequential:
    """`count` times convolution, batch norm, ReLU; the first changes the channels."""
    layers: list[nn.Module] = []
    for index in range(count):
        before = in_channels if index == 0 else out_channels
        layers += [nn.Conv2d(before, out_channels, 3, padding=1), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def initialize(module: nn.Module) -> None:
    """Xavier normal weights and zero bias, as published."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
