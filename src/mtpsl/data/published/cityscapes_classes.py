"""The classes of Cityscapes: names, colors, and the label ids that belong to each.

Source: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016; the ids, the 19
evaluated classes and the colors are those of the label list in the cityscapesScripts. The seven classes are its
categories without "void"; each has the color of one of its classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from mtpsl.errors import UserError

Color = tuple[int, int, int]

#: name, color and label ids
SEVEN: list[tuple[str, Color, range]] = [
    ("flat", (128, 64, 128), range(7, 11)),
    ("construction", (70, 70, 70), range(11, 17)),
    ("object", (153, 153, 153), range(17, 21)),
    ("nature", (107, 142, 35), range(21, 23)),
    ("sky", (70, 130, 180), range(23, 24)),
    ("human", (220, 20, 60), range(24, 26)),
    ("vehicle", (0, 0, 142), range(26, 34)),
]
#: name, color and label id
NINETEEN: list[tuple[str, Color, int]] = [
    ("road", (128, 64, 128), 7),
    ("sidewalk", (244, 35, 232), 8),
    ("building", (70, 70, 70), 11),
    ("wall", (102, 102, 156), 12),
    ("fence", (190, 153, 153), 13),
    ("pole", (153, 153, 153), 17),
    ("traffic light", (250, 170, 30), 19),
    ("traffic sign", (220, 220, 0), 20),
    ("vegetation", (107, 142, 35), 21),
    ("terrain", (152, 251, 152), 22),
    ("sky", (70, 130, 180), 23),
    ("person", (220, 20, 60), 24),
    ("rider", (255, 0, 0), 25),
    ("car", (0, 0, 142), 26),
    ("truck", (0, 0, 70), 27),
    ("bus", (0, 60, 100), 28),
    ("train", (0, 80, 100), 31),
    ("motorcycle", (0, 0, 230), 32),
    ("bicycle", (119, 11, 32), 33),
]
#: ids go from 0 to 33; the 34th class, license plate, is never drawn
NUM_IDS = 34


@dataclass(frozen=True)
class Classes:
    """Names, colors, and the label ids of each class; an id in neither `numbers` nor `ignore` does not exist."""

    names: list[str]
    colors: list[Color]
    numbers: list[list[int]]

    @property
    def ignore(self) -> list[int]:
        """The label ids without a class."""
        known = {number for numbers in self.numbers for number in numbers}
        return [number for number in range(NUM_IDS) if number not in known]


def cityscapes_classes(classes: int) -> Classes:
    """The 7 or 19 classes.

    >>> cityscapes_classes(7).names[5], cityscapes_classes(7).numbers[5]
    ('human', [24, 25])
    >>> len(cityscapes_classes(19).ignore)
    15

    Raises:
        UserError: another number of classes.
    """
    if classes not in (7, 19):
        raise UserError(f"Cityscapes has 7 or 19 classes, not {classes}: choose with --data.classes")
    rows = SEVEN if classes == 7 else [(name, color, range(number, number + 1)) for name, color, number in NINETEEN]
    return Classes([name for name, _, _ in rows], [color for _, color, _ in rows], [[*ids] for _, _, ids in rows])
