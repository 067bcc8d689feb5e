"""Networks that predict several tasks from one image."""

from mtpsl.networks.encoder_decoder import EncoderDecoder
from mtpsl.networks.mtan import MTAN
from mtpsl.networks.network import MultiTaskNetwork
from mtpsl.networks.resnet_aspp import ResNetASPP
from mtpsl.networks.segnet import SegNet

NETWORKS: dict[str, type[MultiTaskNetwork]] = {
    "segnet": SegNet,
    "mtan": MTAN,
    "encoder_decoder": EncoderDecoder,
    "resnet_aspp": ResNetASPP,
}
ALIASES = {"timm": "encoder_decoder"}
"""Other names of networks on the command line and in files."""

__all__ = ["ALIASES", "MTAN", "NETWORKS", "EncoderDecoder", "MultiTaskNetwork", "ResNetASPP", "SegNet"]
