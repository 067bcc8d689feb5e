"""What the mapping networks are made of: a convolution, the norm of a row, FiLM."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


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
