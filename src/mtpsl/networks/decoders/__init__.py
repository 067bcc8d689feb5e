"""Decoders: from an encoder's maps to the map in which heads predict.

A decoder is made from the channels and reductions of the encoder's maps, has `out_channels`, and is called with the
images and the maps, fine to coarse.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from mtpsl.networks.decoders.aspp import ASPPHead
from mtpsl.networks.decoders.fpn import FPNDecoder
from mtpsl.networks.decoders.smp import DPTDecoder, PyramidDecoder

DecoderName = Literal["fpn", "unet", "upernet", "segformer", "dpt"]
DECODERS: dict[DecoderName, Callable[..., FPNDecoder | PyramidDecoder | DPTDecoder]] = {
    "fpn": FPNDecoder,
    "unet": partial(PyramidDecoder, name="unet"),
    "upernet": partial(PyramidDecoder, name="upernet"),
    "segformer": partial(PyramidDecoder, name="segformer"),
    "dpt": DPTDecoder,
}

__all__ = ["DECODERS", "ASPPHead", "DPTDecoder", "DecoderName", "FPNDecoder", "PyramidDecoder"]
