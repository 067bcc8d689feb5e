"""Decoders: from an encoder's maps to the map in which heads predict."""

from mtpsl.networks.decoders.aspp import ASPPHead
from mtpsl.networks.decoders.plain import PlainDecoder

__all__ = ["ASPPHead", "PlainDecoder"]
