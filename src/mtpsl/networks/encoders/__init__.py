"""Encoders: `out_channels`, `output_stride`, and a forward that gives maps from fine to coarse."""

from mtpsl.networks.encoders.timm import TimmEncoder

__all__ = ["TimmEncoder"]
