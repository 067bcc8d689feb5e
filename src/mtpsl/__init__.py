"""Train one vision network for several dense prediction tasks from partially annotated images."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtpsl.data.augment import Augmentation
    from mtpsl.errors import UserError
    from mtpsl.networks import MTAN, EncoderDecoder, MultiTaskNetwork, SegNet
    from mtpsl.objectives import (
        ContrastiveLoss,
        CrossTaskConsistency,
        DirectMap,
        DiscriminatorLoss,
        JointTaskRegularization,
        MappingNetwork,
        Objective,
        PerceptualMap,
        SemiSupervised,
        SingleTask,
        Supervised,
        XTask,
    )
    from mtpsl.structures import Batch, Losses, Output, Sample, Score, TargetSpec
    from mtpsl.tasks import Depth, Edges, Normals, Segmentation, Task

MODULES = {
    "mtpsl.data.augment": ("Augmentation",),
    "mtpsl.errors": ("UserError",),
    "mtpsl.networks": ("MTAN", "EncoderDecoder", "MultiTaskNetwork", "SegNet"),
    "mtpsl.objectives": (
        "ContrastiveLoss",
        "CrossTaskConsistency",
        "DirectMap",
        "DiscriminatorLoss",
        "JointTaskRegularization",
        "MappingNetwork",
        "Objective",
        "PerceptualMap",
        "SemiSupervised",
        "SingleTask",
        "Supervised",
        "XTask",
    ),
    "mtpsl.structures": ("Batch", "Losses", "Output", "Sample", "Score", "TargetSpec"),
    "mtpsl.tasks": ("Depth", "Edges", "Normals", "Segmentation", "Task"),
}
"""Where the public names come from. They are imported when first asked for, so that `mtpsl --help` need not wait for
torch."""

__all__ = [
    "MTAN",
    "Augmentation",
    "Batch",
    "ContrastiveLoss",
    "CrossTaskConsistency",
    "Depth",
    "DirectMap",
    "DiscriminatorLoss",
    "Edges",
    "EncoderDecoder",
    "JointTaskRegularization",
    "Losses",
    "MappingNetwork",
    "MultiTaskNetwork",
    "Normals",
    "Objective",
    "Output",
    "PerceptualMap",
    "Sample",
    "Score",
    "SegNet",
    "Segmentation",
    "SemiSupervised",
    "SingleTask",
    "Supervised",
    "TargetSpec",
    "Task",
    "UserError",
    "XTask",
]


def __getattr__(name: str) -> object:
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'mtpsl' has no attribute {name!r}")
