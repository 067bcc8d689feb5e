"""A light decoder: a feature pyramid whose levels are summed at a quarter of the image's resolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class FPNDecoder(nn.Module):
    """Top-down sums of 1x1 projections, one 3x3 convolution per level, and the sum of all levels.

    Lin, Dollár, Girshick, He, Hariharan, Belongie: Feature Pyramid Networks for Object Detection, CVPR 2017, with the
    sum of levels of Kirillov, Girshick, He, Dollár: Panoptic Feature Pyramid Networks, CVPR 2019. Lighter than theirs:
    each level has one convolution at its own resolution, and what is finer than a quarter of the image is left out.
    Where the finest map is coarser, as a vision transformer's, the sum is enlarged to a quarter.

    Args:
        in_channels: channels of the encoder's maps, fine to coarse.
        reductions: how much smaller than the image each of them is.
        channels: channels of every level and of the result, 96 by default.
    """

    def __init__(self, in_channels: Sequence[int], reductions: Sequence[int], *, channels: int | None = None) -> None:
        super().__init__()
        self.out_channels = channels = channels or 96
        coarse_enough = [level for level, reduction in enumerate(reductions) if reduction >= 4]
        self.levels = coarse_enough or [len(in_channels) - 1]
        self.enlarge = max(1, reductions[self.levels[0]] // 4)
        self.lateral = nn.ModuleList(nn.Conv2d(in_channels[level], channels, 1) for level in self.levels)
        self.smooth = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            )
            for _ in self.levels
        )

    def forward(self, images: Float[Tensor, "b 3 h w"], features: Sequence[Tensor]) -> Float[Tensor, "b c h4 w4"]:
        """The map in which heads predict, at a quarter of the images' size."""
        maps = [lateral(features[level]) for lateral, level in zip(self.lateral, self.levels, strict=True)]
        for level in range(len(maps) - 2, -1, -1):
            maps[level] = maps[level] + resized(maps[level + 1], maps[level])
        smooth = [convolve(x) for convolve, x in zip(self.smooth, maps, strict=True)]
        summed = torch.stack([resized(x, smooth[0]) for x in smooth]).sum(0) if len(smooth) > 1 else smooth[0]
        if self.enlarge == 1:
            return summed
        return F.interpolate(summed, scale_factor=self.enlarge, mode="bilinear", align_corners=False)


def resized(x: Float[Tensor, "b c h w"], like: Float[Tensor, "b c h2 w2"]) -> Float[Tensor, "b c h2 w2"]:
    """A map at the size of another, bilinearly; the same tensor where it has that size."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
