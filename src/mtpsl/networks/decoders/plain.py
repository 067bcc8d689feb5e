"""A plain decoder: from coarse to fine, one map at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class PlainDecoder(nn.Module):
    """Upsample, join with the encoder's next finer map, two convolutions; repeated up to the finest map.

    Args:
        in_channels: channels of the encoder's maps, fine to coarse.
        channels: channels of the decoder's finest map; each coarser one has twice as many, up to 256.
    """

    def __init__(self, in_channels: Sequence[int], *, channels: int = 64) -> None:
        super().__init__()
        self.out_channels = channels
        widths = [min(channels * 2**level, max(256, channels)) for level in range(len(in_channels) - 1)]
        self.blocks = nn.ModuleList()
        coarse = in_channels[-1]
        for skip, width in zip(reversed(in_channels[:-1]), reversed(widths), strict=True):
            self.blocks.append(nn.Sequential(*convolution(coarse + skip, width), *convolution(width, width)))
            coarse = width
        self.last = nn.Sequential(*convolution(coarse, channels))

    def forward(self, features: Sequence[Tensor]) -> Float[Tensor, "b c h w"]:
        """The map in which heads predict, at the size of the finest feature map."""
        x = features[-1]
        for block, skip in zip(self.blocks, reversed(features[:-1]), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], 1))
        return self.last(x)


def convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Convolution, batch norm, ReLU."""
    return [
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]
