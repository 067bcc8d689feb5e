"""A plain decoder: from coarse to fine, one map at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class PlainDecoder(nn.Module):
    """Upsample, join with the encoder's next finer map, two convolutions; repeated up to the finest map.

    Where the finest map is coarse, as a vision transformer's, it is upsampled further, to a quarter of the image.

    Args:
        in_channels: channels of the encoder's maps, fine to coarse.
        channels: channels of the decoder's finest map; each coarser one has twice as many, up to 256.
        finest: how much smaller than the image the encoder's finest map is.
    """

    def __init__(self, in_channels: Sequence[int], *, channels: int = 64, finest: int = 4) -> None:
        super().__init__()
        self.out_channels = channels
        widths = [min(channels * 2**level, max(256, channels)) for level in range(len(in_channels) - 1)]
        self.blocks = nn.ModuleList()
        coarse = in_channels[-1]
        for skip, width in zip(reversed(in_channels[:-1]), reversed(widths), strict=True):
            self.blocks.append(nn.Sequential(*convolution(coarse + skip, width), *convolution(width, width)))
            coarse = width
        self.last = nn.Sequential(*convolution(coarse, channels))
        doublings = max(0, round(math.log2(finest / 4)))
        self.finer = nn.ModuleList(nn.Sequential(*convolution(channels, channels)) for _ in range(doublings))

    def forward(self, features: Sequence[Tensor]) -> Float[Tensor, "b c h w"]:
        """The map in which heads predict, at the size of the finest feature map or a quarter of the image's."""
        x = features[-1]
        for block, skip in zip(self.blocks, reversed(features[:-1]), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], 1))
        x = self.last(x)
        for block in self.finer:
            x = block(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        return x


def convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Convolution, batch norm, ReLU."""
    return [
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]
