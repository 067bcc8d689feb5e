"""Options of known relations."""

from __future__ import annotations

from dataclasses import dataclass

from mtpsl.options import check_not_negative, check_share


@dataclass(frozen=True, kw_only=True)
class RelationOptions:
    """How much it counts that predictions fit together where one task is known to follow from another.

    Args:
        weight: weight of these terms; at 0 there are none. Boundaries of predicted segmentation are compared with
            labelled edges, and normals of predicted depth with labelled ones, or predicted ones where there are none.
        ramp: share of the training over which the weight rises linearly from 0: what follows from an untrained
            prediction teaches nothing.
        tolerance: how many pixels from a labelled edge a boundary of the predicted classes may lie: labels that were
            magnified with their image are thicker than the boundaries of its classes.
    """

    weight: float = 0.0
    ramp: float = 1.0
    tolerance: int = 1

    def __post_init__(self) -> None:
        check_not_negative(**{"relations.weight": self.weight, "relations.tolerance": self.tolerance})
        check_share("the training", **{"relations.ramp": self.ramp})
