"""Weightings: how the losses of several tasks are balanced."""

from mtpsl.weighting.aligned_mtl import AlignedMTL
from mtpsl.weighting.base import LossWeighting, Weighting, labelled_tasks
from mtpsl.weighting.cagrad import CAGrad
from mtpsl.weighting.dwa import DWA
from mtpsl.weighting.fixed import Fixed, Uniform
from mtpsl.weighting.gradient import GradientWeighting
from mtpsl.weighting.gradnorm import GradNorm
from mtpsl.weighting.imtl_g import IMTLG
from mtpsl.weighting.mgda import MGDA
from mtpsl.weighting.nash_mtl import NashMTL
from mtpsl.weighting.parameters import shared_parameters
from mtpsl.weighting.pcgrad import PCGrad
from mtpsl.weighting.uncertainty import Uncertainty
from mtpsl.weighting.upgrad import UPGrad

WEIGHTINGS: dict[str, type[Weighting]] = {
    "uniform": Uniform,
    "fixed": Fixed,
    "uncertainty": Uncertainty,
    "dwa": DWA,
    "gradnorm": GradNorm,
    "mgda": MGDA,
    "pcgrad": PCGrad,
    "cagrad": CAGrad,
    "nash_mtl": NashMTL,
    "upgrad": UPGrad,
    "imtl_g": IMTLG,
    "aligned_mtl": AlignedMTL,
}

__all__ = [
    "DWA",
    "IMTLG",
    "MGDA",
    "WEIGHTINGS",
    "AlignedMTL",
    "CAGrad",
    "Fixed",
    "GradNorm",
    "GradientWeighting",
    "LossWeighting",
    "NashMTL",
    "PCGrad",
    "UPGrad",
    "Uncertainty",
    "Uniform",
    "Weighting",
    "labelled_tasks",
    "shared_parameters",
]
