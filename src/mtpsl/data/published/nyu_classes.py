"""The classes of NYU-v2: 13, and the 40 that they summarize.

Sources: the 40 classes are those of Gupta, Arbelaez and Malik, "Perceptual Organization and Recognition of Indoor
Scenes from RGB-D Images", CVPR 2013; the 13 those of Couprie, Farabet, Najman and LeCun, "Indoor Semantic Segmentation
using depth information", ICLR 2013.
"""

from __future__ import annotations

from mtpsl.errors import UserError

THIRTEEN = [
    *("bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv", "wall"),
    "window",
]
FORTY = [
    *("wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf"),
    *("picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat"),
    *("clothes", "ceiling", "books", "refrigerator", "television", "paper", "towel", "shower curtain", "box"),
    *("whiteboard", "person", "night stand", "toilet", "sink", "lamp", "bathtub", "bag", "other structure"),
    *("other furniture", "other prop"),
]
#: for each of the 40 the number, from 1, of the one of the 13
FORTY_TO_THIRTEEN = [
    *(12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5),
    *(7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7),
]


def nyu_class_index(forty: int, classes: int) -> int:
    """The class, from 0, that number 1 to 40 of the 40 classes is among 13 or 40.

    >>> [nyu_class_index(4, classes) for classes in (13, 40)], THIRTEEN[nyu_class_index(4, 13)], FORTY[3]
    ([0, 3], 'bed', 'bed')

    Raises:
        UserError: another number of classes.
    """
    if classes not in (13, 40):
        raise UserError(f"NYU-v2 has 13 or 40 classes, not {classes}: choose with --data.classes")
    return (FORTY_TO_THIRTEEN[forty - 1] if classes == 13 else forty) - 1
