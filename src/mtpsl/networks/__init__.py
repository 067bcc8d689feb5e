"""Networks that predict several tasks from one image."""

from mtpsl.networks.encoder_decoder import EncoderDecoder
from mtpsl.networks.mtan import MTAN
from mtpsl.networks.network import MultiTaskNetwork
from mtpsl.networks.resnet_aspp import ResNetASPP
from mtpsl.networks.segnet import SegNet

NETWORKS: dict[str, type[MultiTaskNetwork]] = {
    "segnet": SegNet,
    "mtan": MTAN,
    "timm": EncoderDecoder,
    "resnet_aspp": ResNetASPP,
}

__all__ = ["MTAN", "NETWORKS", "EncoderDecoder", "MultiTaskNetwork", "ResNetASPP", "SegNet"]
