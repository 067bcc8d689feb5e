"""What folders of images and labels are called."""

from __future__ import annotations

#: common names of folders, in lower case and without anything but letters, by what is in them
ROLES = {
    "image": (
        "image images img imgs picture pictures photo photos rgb rgbs color colors colour colours frame frames "
        "input inputs jpegimages leftimgbit jpg jpegs"
    ),
    "segmentation": (
        "segmentation segmentations seg segs semantic semantics semanticsegmentation segmentationclass mask masks "
        "label labels labelids gt gtfine groundtruth annotation annotations annot annots class classes target targets"
    ),
    "depth": "depth depths depthmap depthmaps depthzbuffer disparity disparities disp inversedepth",
    "normals": "normal normals surfacenormal surfacenormals normalmap normalmaps",
    "edges": "edge edges boundary boundaries contour contours edgemap edgemaps",
    "saliency": "saliency salient saliencymap saliencymaps",
    "human_parts": "humanparts humanpart bodyparts parts personparts",
    "albedo": "albedo albedos reflectance",
    "height": "height heights heightmap heightmaps elevation dem dsm",
    "heatmap": "heatmap heatmaps heat",
    "flow": "flow flows opticalflow",
    "multilabel": "multilabel multilabels",
}
#: tasks that hold any numbers
REGRESSION = ("albedo", "height", "heatmap", "flow")
#: folders of depth in which larger is nearer
INVERSE = ("disparity", "disparities", "disp", "inversedepth")
_BY_NAME = {name: role for role, names in ROLES.items() for name in names.split()}


def letters(name: str) -> str:
    """A name in lower case without anything but letters."""
    return "".join(letter for letter in name.casefold() if letter.isalpha())


def role_of(name: str) -> str | None:
    """What a folder of this name holds: `image`, a task, or None.

    >>> role_of("JPEGImages"), role_of("Depth_Maps"), role_of("notes")
    ('image', 'depth', None)
    """
    return _BY_NAME.get(letters(name))
