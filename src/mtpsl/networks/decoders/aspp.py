"""Atrous spatial pyramid pooling: a head that sees several scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ASPPHead(nn.Module):
    """Parallel convolutions with different dilations and the image's mean, joined; then the prediction.

    Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for Semantic Image Segmentation, 2017 (DeepLabV3),
    section 3.3, as the multi-task code has it whose protocol the paper follows for PASCAL-Context (Vandenhende et al.,
    Multi-Task Learning for Dense Prediction Tasks: A Survey, TPAMI 2021).

    Args:
        in_channels: channels of the encoder's last map.
        out_channels: channels to predict.
        channels: channels of every branch.
        rates: dilations of the three 3x3 branches; 12, 24, 36 belong to output stride 8.
        dropout: share of the joined channels that is dropped.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        channels: int = 256,
        rates: Sequence[int] = (12, 24, 36),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList([block(in_channels, channels, 1)])
        self.branches.extend(block(in_channels, channels, 3, rate) for rate in rates)
        self.pooled = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, bias=False), PooledNorm(channels), nn.ReLU(inplace=True)
        )
        self.project = nn.Sequential(block((len(rates) + 2) * channels, channels, 1), nn.Dropout(dropout))
        self.predict = nn.Sequential(block(channels, channels, 3), nn.Conv2d(channels, out_channels, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """The prediction at the size of the encoder's map."""
        pooled = self.pooled(x.mean((-2, -1), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        joined = torch.cat([*(branch(x) for branch in self.branches), pooled], 1)
        return self.predict(self.project(joined))


class PooledNorm(nn.BatchNorm2d):
    """Batch norm of one value per image and channel; one image alone is normalized by the running statistics."""

    def forward(self, x: Float[Tensor, "b c 1 1"]) -> Float[Tensor, "b c 1 1"]:
        """Normalize."""
        if self.training and len(x) == 1:  # it has no variance: torch refuses
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


def block(in_channels: int, out_channels: int, size: int, dilation: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, size, padding=dilation * (size // 2), dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
