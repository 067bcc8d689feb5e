"""Any timm encoder with a plain decoder and one head per task."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.networks.decoders.plain import PlainDecoder
from mtpsl.networks.encoders.timm import TimmEncoder
from mtpsl.networks.network import MultiTaskNetwork
from mtpsl.structures import Output


class EncoderDecoder(MultiTaskNetwork):
    """A timm encoder, a plain decoder shared by all tasks, and two convolutions per task as its head.

    Args:
        out_channels: channels to predict, by task.
        encoder: a timm model that gives feature maps, e.g. `resnet18`, `hrnet_w18`, `vit_small_patch16_224`; a tag
            behind a point chooses among its weights, as in `resnet18.tv_in1k`.
        pretrained: start from timm's weights (from its cache, or from the hub).
        weights: take them from this file instead (.safetensors or .pth in timm's form).
        decoder_channels: channels of the decoder's finest map.
    """

    def __init__(
        self,
        out_channels: Mapping[str, int],
        *,
        encoder: str = "resnet18",
        pretrained: bool = False,
        weights: str | None = None,
        decoder_channels: int = 64,
    ) -> None:
        super().__init__()
        self.encoder = TimmEncoder(encoder, pretrained=pretrained, weights=weights)
        self.stride = self.encoder.output_stride
        self.feature_channels = self.encoder.out_channels[-1]
        self.decoder = PlainDecoder(
            self.encoder.out_channels, channels=decoder_channels, finest=self.encoder.reductions[0]
        )
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Conv2d(decoder_channels, decoder_channels, 3, padding=1),
                    nn.ReLU(inplace=True),
                    nn.Conv2d(decoder_channels, count, 1),
                )
                for name, count in out_channels.items()
            }
        )

    def forward_divisible(self, images: Float[Tensor, "b c h w"]) -> Output:
        """Predict every task at the images' size."""
        features = self.encoder(images)
        x = self.decoder(features)
        predictions = {
            name: F.interpolate(head(x).float(), size=images.shape[-2:], mode="bilinear", align_corners=False)
            for name, head in self.heads.items()
        }
        return Output(predictions, features)
