"""The classes of PASCAL VOC, of its persons' parts, and those of PASCAL-Context that have normals."""

from __future__ import annotations

VOC_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def voc_colors(count: int = 21) -> list[list[int]]:
    """The colors of VOC: the bits of the class index are dealt to red, green and blue, highest bits first.

    >>> voc_colors()[15]
    [192, 128, 128]
    """
    colors = []
    for index in range(count):
        color = [0, 0, 0]
        for bit in range(8):
            color[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
        colors.append(color)
    return colors


#: class index of a person's object
PERSON = 15
#: class of every part that a person's annotation names; 0 is what is no part
PART_CLASSES = {
    **dict.fromkeys(["head", "hair", "lear", "rear", "lebrow", "rebrow", "leye", "reye", "nose", "mouth"], 1),
    **dict.fromkeys(["neck", "torso"], 2),
    **dict.fromkeys(["luarm", "ruarm"], 3),
    **dict.fromkeys(["llarm", "rlarm", "lhand", "rhand"], 4),
    **dict.fromkeys(["luleg", "ruleg"], 5),
    **dict.fromkeys(["llleg", "rlleg", "lfoot", "rfoot"], 6),
}

#: how many classes `LabelMap` may name
CONTEXT_CLASSES = 459
#: those that NYU-v2 has under the same name (and tvmonitor): the network that the normals come from learnt from indoor
#: images, so public multi-task code counts normals only there; person, dog, bicycle and car are among them, sky, grass,
#: building, road and water are not
NORMALS_CLASSES = (
    *(3, 4, 6, 9, 10, 11, 13, 15, 17, 18, 22, 23, 29, 30, 33, 34, 36, 37, 38, 39, 41, 43, 46, 49, 50, 51, 53, 55, 56),
    *(59, 61, 62, 65, 66, 68, 69, 72, 73, 78, 83, 84, 85, 87, 88, 95, 96, 101, 104, 105, 107, 111, 113, 115, 122, 124),
    *(135, 141, 142, 143, 146, 150, 154, 157, 158, 159, 165, 172, 174, 181, 183, 184, 191, 193, 195, 197, 199, 202),
    *(213, 215, 216, 219, 220, 223, 225, 228, 230, 232, 233, 238, 239, 242, 243, 246, 250, 251, 252, 255, 260, 261),
    *(263, 269, 272, 273, 275, 281, 283, 284, 285, 286, 287, 288, 290, 291, 292, 293, 295, 304, 307, 309, 310, 314),
    *(315, 319, 323, 329, 330, 331, 336, 342, 345, 349, 350, 351, 352, 355, 357, 368, 370, 371, 374, 379, 380, 383),
    *(384, 397, 401, 403, 405, 407, 408, 411, 412, 413, 414, 417, 419, 421, 423, 427, 429, 430, 432, 440, 441, 442),
    *(443, 444, 446, 454, 457),
)
