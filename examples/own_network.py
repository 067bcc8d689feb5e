"""A network of your own: a few dilated convolutions at a quarter of the resolution, one more for each task.

mtpsl train --network examples/own_network.py:Dilated --network.width 64 --data.root DATA --out RUN
mtpsl predict RUN PICTURES --out DIR --trust-code
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.functional import interpolate

from mtpsl import MultiTaskNetwork, Output


class Dilated(MultiTaskNetwork):
    """An encoder of dilated convolutions, and a head for each task.

    Args:
        out_channels: channels to predict, by task.
        width: channels of the features.
    """

    stride = 4  # images are padded to a multiple of it

    def __init__(self, out_channels: Mapping[str, int], *, width: int = 32) -> None:
        super().__init__()
        self.feature_channels = width
        layers = [nn.Conv2d(3, width, 7, stride=4, padding=3), nn.ReLU()]
        for dilation in (1, 2, 4, 8):
            layers += [nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation), nn.ReLU()]
        self.encoder = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({name: nn.Conv2d(width, count, 1) for name, count in out_channels.items()})

    def forward_divisible(self, images: torch.Tensor) -> Output:
        """Raw predictions at the images' size, and the features that mapping networks see."""
        features = self.encoder(images)
        size = images.shape[-2:]
        return Output({name: interpolate(head(features), size) for name, head in self.heads.items()}, [features])
