"""Train one vision network for several dense prediction tasks from partially annotated images."""

from mtpsl.data.augment import Augmentation
from mtpsl.errors import UserError
from mtpsl.networks import EncoderDecoder, MultiTaskNetwork, SegNet
from mtpsl.objectives import CrossTaskConsistency, MappingNetwork, Objective, SingleTask, Supervised
from mtpsl.structures import Batch, Losses, Output, Sample, Score, TargetSpec
from mtpsl.tasks import Depth, Edges, Normals, Segmentation, Task

__all__ = [
    "Augmentation",
    "Batch",
    "CrossTaskConsistency",
    "Depth",
    "Edges",
    "EncoderDecoder",
    "Losses",
    "MappingNetwork",
    "MultiTaskNetwork",
    "Normals",
    "Objective",
    "Output",
    "Sample",
    "Score",
    "SegNet",
    "Segmentation",
    "SingleTask",
    "Supervised",
    "TargetSpec",
    "Task",
    "UserError",
]
