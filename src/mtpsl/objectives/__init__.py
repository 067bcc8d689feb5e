"""Objectives: what papers call a method."""

from mtpsl.objectives.base import Objective
from mtpsl.objectives.contrastive import ContrastiveLoss
from mtpsl.objectives.cross_task import CrossTaskConsistency
from mtpsl.objectives.direct_map import DirectMap
from mtpsl.objectives.discriminator import DiscriminatorLoss
from mtpsl.objectives.jtr import JointTaskRegularization
from mtpsl.objectives.mapping import MappingNetwork
from mtpsl.objectives.perceptual_map import PerceptualMap
from mtpsl.objectives.residual_mapping import ResidualMapping
from mtpsl.objectives.semi_supervised import SemiSupervised
from mtpsl.objectives.supervised import SingleTask, Supervised, supervised_losses
from mtpsl.objectives.x_task import XTask

OBJECTIVES: dict[str, type[Objective]] = {
    "stl": SingleTask,
    "supervised": Supervised,
    "semi_supervised": SemiSupervised,
    "direct_map": DirectMap,
    "perceptual_map": PerceptualMap,
    "x_task": XTask,
    "contrastive": ContrastiveLoss,
    "discriminator": DiscriminatorLoss,
    "cross_task": CrossTaskConsistency,
    "jtr": JointTaskRegularization,
}

__all__ = [
    "OBJECTIVES",
    "ContrastiveLoss",
    "CrossTaskConsistency",
    "DirectMap",
    "DiscriminatorLoss",
    "JointTaskRegularization",
    "MappingNetwork",
    "Objective",
    "PerceptualMap",
    "ResidualMapping",
    "SemiSupervised",
    "SingleTask",
    "Supervised",
    "XTask",
    "supervised_losses",
]
