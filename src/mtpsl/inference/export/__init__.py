"""A network as a file that other programs run: ONNX, a program of torch.export, plain weights."""

from mtpsl.inference.export.build import Built, exported, write_model
from mtpsl.inference.export.compare import Difference, differences, refused
from mtpsl.inference.export.deployable import RAW, Deployable
from mtpsl.inference.export.description import KEY, describe
from mtpsl.inference.export.recording import Freedom, Recorded, record

__all__ = [
    "KEY",
    "RAW",
    "Built",
    "Deployable",
    "Difference",
    "Freedom",
    "Recorded",
    "describe",
    "differences",
    "exported",
    "record",
    "refused",
    "write_model",
]
