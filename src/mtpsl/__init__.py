"""Train one vision network for several dense prediction tasks from partially annotated images."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtpsl.augmentation.zoom_crop import Augmentation
    from mtpsl.call import train
    from mtpsl.data.label_lists import describe_split
    from mtpsl.errors import UserError
    from mtpsl.inference import Exportable, Prediction, Predictor, TrainingSizes
    from mtpsl.networks import MTAN, EncoderDecoder, MultiTaskNetwork, ResNetASPP, SegNet
    from mtpsl.objectives import (
        ContrastiveLoss,
        CrossTaskConsistency,
        DirectMap,
        DiscriminatorLoss,
        Extensions,
        JointMappingOptions,
        JointTaskRegularization,
        LossOptions,
        MappingNetwork,
        MappingOptions,
        Objective,
        PerceptualMap,
        RelationOptions,
        ResidualMapping,
        SemiSupervised,
        SingleTask,
        Supervised,
        TermOptions,
        XTask,
    )
    from mtpsl.structures import Batch, Losses, Output, Sample, Score, TargetSpec
    from mtpsl.tasks import Depth, Edges, Normals, Segmentation, Task
    from mtpsl.training.trained import TrainedRun, load, load_run
    from mtpsl.weighting import (
        DWA,
        IMTLG,
        MGDA,
        AlignedMTL,
        CAGrad,
        Fixed,
        GradNorm,
        NashMTL,
        PCGrad,
        Uncertainty,
        Uniform,
        UPGrad,
        Weighting,
        shared_parameters,
    )

MODULES = {
    "mtpsl.call": ("train",),
    "mtpsl.augmentation.zoom_crop": ("Augmentation",),
    "mtpsl.data.label_lists": ("describe_split",),
    "mtpsl.errors": ("UserError",),
    "mtpsl.inference": ("Exportable", "Prediction", "Predictor", "TrainingSizes"),
    "mtpsl.networks": ("MTAN", "EncoderDecoder", "MultiTaskNetwork", "ResNetASPP", "SegNet"),
    "mtpsl.objectives": (
        "ContrastiveLoss",
        "CrossTaskConsistency",
        "DirectMap",
        "DiscriminatorLoss",
        "Extensions",
        "JointMappingOptions",
        "JointTaskRegularization",
        "LossOptions",
        "MappingNetwork",
        "MappingOptions",
        "Objective",
        "PerceptualMap",
        "RelationOptions",
        "ResidualMapping",
        "SemiSupervised",
        "SingleTask",
        "Supervised",
        "TermOptions",
        "XTask",
    ),
    "mtpsl.structures": ("Batch", "Losses", "Output", "Sample", "Score", "TargetSpec"),
    "mtpsl.tasks": ("Depth", "Edges", "Normals", "Segmentation", "Task"),
    "mtpsl.training.trained": ("TrainedRun", "load", "load_run"),
    "mtpsl.weighting": (
        "DWA",
        "IMTLG",
        "MGDA",
        "AlignedMTL",
        "CAGrad",
        "Fixed",
        "GradNorm",
        "NashMTL",
        "PCGrad",
        "UPGrad",
        "Uncertainty",
        "Uniform",
        "Weighting",
        "shared_parameters",
    ),
}
"""Where the public names come from. They are imported when first asked for, so that `mtpsl --help` need not wait for
torch."""

__all__ = [
    "DWA",
    "IMTLG",
    "MGDA",
    "MTAN",
    "AlignedMTL",
    "Augmentation",
    "Batch",
    "CAGrad",
    "ContrastiveLoss",
    "CrossTaskConsistency",
    "Depth",
    "DirectMap",
    "DiscriminatorLoss",
    "Edges",
    "EncoderDecoder",
    "Exportable",
    "Extensions",
    "Fixed",
    "GradNorm",
    "JointMappingOptions",
    "JointTaskRegularization",
    "LossOptions",
    "Losses",
    "MappingNetwork",
    "MappingOptions",
    "MultiTaskNetwork",
    "NashMTL",
    "Normals",
    "Objective",
    "Output",
    "PCGrad",
    "PerceptualMap",
    "Prediction",
    "Predictor",
    "RelationOptions",
    "ResNetASPP",
    "ResidualMapping",
    "Sample",
    "Score",
    "SegNet",
    "Segmentation",
    "SemiSupervised",
    "SingleTask",
    "Supervised",
    "TargetSpec",
    "Task",
    "TermOptions",
    "TrainedRun",
    "TrainingSizes",
    "UPGrad",
    "Uncertainty",
    "Uniform",
    "UserError",
    "Weighting",
    "XTask",
    "describe_split",
    "load",
    "load_run",
    "shared_parameters",
    "train",
]


def __getattr__(name: str) -> object:
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'mtpsl' has no attribute {name!r}")
