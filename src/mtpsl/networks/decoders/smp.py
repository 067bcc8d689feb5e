"""Decoders of segmentation_models_pytorch behind one adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.errors import UserError
from mtpsl.networks.network import padded

PACKAGE = "segmentation_models_pytorch"


class PyramidDecoder(nn.Module):
    """A decoder that wants the image and a map at every halving, as `segmentation_models_pytorch` passes them.

    Halvings that the encoder does not give get a map without channels, as that package does.

    Args:
        in_channels: channels of the encoder's maps, fine to coarse.
        reductions: how much smaller than the image each of them is: halvings, without a repetition.
    """

    def __init__(
        self, in_channels: Sequence[int], reductions: Sequence[int], *, channels: int | None, name: str
    ) -> None:
        super().__init__()
        require_package(name)
        halvings = [2**power for power in range(reductions[-1].bit_length())]
        if len(set(reductions)) < len(reductions) or not set(reductions) <= set(halvings):
            raise UserError(
                f"decoder {name!r} needs an encoder whose maps halve in size, not maps at 1/"
                f"{', 1/'.join(map(str, reductions))} of the image: choose decoder fpn, or dpt for a vision transformer"
            )
        self.places = [list(reductions).index(halving) if halving in reductions else None for halving in halvings]
        every = [0 if place is None else in_channels[place] for place in self.places]
        every[0] = every[0] or 3
        self.decoder, self.out_channels = BUILDERS[name](every, channels)

    def forward(self, images: Float[Tensor, "b 3 h w"], features: Sequence[Tensor]) -> Float[Tensor, "b c h2 w2"]:
        """The map in which heads predict, at the size that the decoder gives."""
        maps = []
        for power, place in enumerate(self.places):
            if place is not None:
                maps.append(features[place])
            elif power == 0:
                maps.append(images)
            else:
                height, width = (side >> power for side in images.shape[-2:])
                maps.append(images.new_zeros((len(images), 0, height, width)))
        result: Tensor = self.decoder(maps)
        return result


class DPTDecoder(nn.Module):
    """The dense prediction transformer's decoder for plain vision transformers, whose maps have one size.

    Ranftl, Bochkovskiy, Koltun: Vision Transformers for Dense Prediction, ICCV 2021.

    Args:
        in_channels: channels of the encoder's four maps, from early to late.
        reductions: how much smaller than the image they are: all the same.
        channels: channels of the fused maps and of the result.
    """

    def __init__(self, in_channels: Sequence[int], reductions: Sequence[int], *, channels: int | None) -> None:
        super().__init__()
        require_package("dpt")
        if len(in_channels) != 4 or len(set(reductions)) > 1:
            raise UserError(
                f"decoder 'dpt' needs a plain vision transformer with four maps of one size, not maps at 1/"
                f"{', 1/'.join(map(str, reductions))} of the image: choose decoder fpn or unet"
            )
        from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder as Decoder

        self.out_channels = channels or 128
        self.decoder = Decoder(
            encoder_out_channels=list(in_channels),
            encoder_output_strides=list(reductions),
            encoder_has_prefix_tokens=False,
            readout="ignore",
            intermediate_channels=[self.out_channels * factor for factor in (1, 2, 4, 4)],
            fusion_channels=self.out_channels,
        )

    def forward(self, images: Float[Tensor, "b 3 h w"], features: Sequence[Tensor]) -> Float[Tensor, "b c h2 w2"]:
        """The map in which heads predict, at half of the images' size."""
        even = [padded(x, 2) for x in features]  # it halves the last one and doubles it again
        result: Tensor = self.decoder(even, [None] * len(even))
        return result[..., : images.shape[-2] // 2, : images.shape[-1] // 2]


def unet(in_channels: list[int], channels: int | None) -> tuple[nn.Module, int]:
    """Ronneberger, Fischer, Brox: U-Net, MICCAI 2015; at the image's own resolution."""
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

    finest, depth = channels or 16, len(in_channels) - 1
    widths = [finest * 2**level for level in range(depth - 1, -1, -1)]
    return UnetDecoder(in_channels, widths, n_blocks=depth), finest


def upernet(in_channels: list[int], channels: int | None) -> tuple[nn.Module, int]:
    """Xiao, Liu, Zhou, Jiang, Sun: Unified Perceptual Parsing for Scene Understanding, ECCV 2018; at a quarter."""
    from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder

    width = channels or 256
    return UPerNetDecoder(in_channels, len(in_channels) - 1, decoder_channels=width), width


def segformer(in_channels: list[int], channels: int | None) -> tuple[nn.Module, int]:
    """Xie, Wang, Yu, Anandkumar, Alvarez, Luo: SegFormer, NeurIPS 2021; at a quarter."""
    from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder

    width = channels or 256
    return SegformerDecoder(in_channels, len(in_channels) - 1, segmentation_channels=width), width


BUILDERS: dict[str, Callable[[list[int], int | None], tuple[nn.Module, int]]] = {
    "unet": unet,
    "upernet": upernet,
    "segformer": segformer,
}


def require_package(name: str) -> None:
    """Refuse a decoder whose package is not installed.

    Raises:
        UserError: it is missing.
    """
    if find_spec(PACKAGE) is None:
        raise UserError(f"decoder {name!r} needs segmentation-models-pytorch: pip install 'mtpsl[decoders]'")
