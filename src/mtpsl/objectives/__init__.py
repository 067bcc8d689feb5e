"""Objectives: what papers call a method."""

from mtpsl.objectives.auxiliary import TermOptions
from mtpsl.objectives.base import Objective
from mtpsl.objectives.contrastive import ContrastiveLoss
from mtpsl.objectives.cross_task import CrossTaskConsistency
from mtpsl.objectives.direct_map import DirectMap
from mtpsl.objectives.discriminator import DiscriminatorLoss
from mtpsl.objectives.extensions import Extensions
from mtpsl.objectives.jtr import JointTaskRegularization
from mtpsl.objectives.known_relations import RelationOptions
from mtpsl.objectives.mapping import MappingNetwork, ResidualMapping
from mtpsl.objectives.mapping.options import JointMappingOptions, MappingOptions
from mtpsl.objectives.mean_teacher import MeanTeacher
from mtpsl.objectives.perceptual_map import PerceptualMap
from mtpsl.objectives.semi_supervised import SemiSupervised
from mtpsl.objectives.supervised import LossOptions, SingleTask, Supervised, supervised_losses
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
    "mean_teacher": MeanTeacher,
}

__all__ = [
    "OBJECTIVES",
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
    "MeanTeacher",
    "Objective",
    "PerceptualMap",
    "RelationOptions",
    "ResidualMapping",
    "SemiSupervised",
    "SingleTask",
    "Supervised",
    "TermOptions",
    "XTask",
    "supervised_losses",
]
