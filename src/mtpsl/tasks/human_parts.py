"""The parts of people's bodies."""

from __future__ import annotations

from collections.abc import Sequence

from mtpsl.tasks.class_map import Absent, ClassMap, ClassWeights

PART_NAMES = ("background", "head", "torso", "upper arm", "lower arm", "upper leg", "lower leg")
PART_COLORS = (
    (38, 38, 46),
    (232, 76, 61),
    (241, 196, 15),
    (46, 134, 222),
    (72, 219, 251),
    (16, 132, 86),
    (123, 237, 159),
)


class HumanParts(ClassMap):
    """The part of a body at every pixel, in seven classes of its own.

    X. Chen et al., "Detect what you can: detecting and representing objects using holistic models and body parts",
    CVPR 2014, in the seven classes of F. Xia et al., "Joint multi-person pose estimation and semantic part
    segmentation", CVPR 2017.

    Args:
        name: the task's name.
        num_classes: how many classes there are.
        class_names: their names, for pictures and messages; by default the seven.
        colors: an RGB triple from 0 to 255 for every class; by default those of the seven.
        absent: how a class that neither predictions nor labels show enters mIoU: `skip` leaves it out, `zero` counts it
            as 0, as public multi-task code for PASCAL does.
        class_weights: as for `ClassMap`; so are the next two.
        label_smoothing: the part of each label that goes to all classes alike.
        dice: weight of a Dice loss that is added.
    """

    def __init__(
        self,
        name: str = "human_parts",
        *,
        num_classes: int = len(PART_NAMES),
        class_names: Sequence[str] | None = None,
        colors: Sequence[Sequence[int] | None] | None = None,
        absent: Absent = "skip",
        class_weights: ClassWeights = None,
        label_smoothing: float = 0.0,
        dice: float = 0.0,
    ) -> None:
        if num_classes == len(PART_NAMES):
            class_names, colors = class_names or PART_NAMES, colors or PART_COLORS
        super().__init__(
            name,
            num_classes=num_classes,
            class_names=class_names,
            colors=colors,
            absent=absent,
            class_weights=class_weights,
            label_smoothing=label_smoothing,
            dice=dice,
        )
