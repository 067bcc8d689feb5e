"""Labels out of the MATLAB files of PASCAL-Context and PASCAL-Part; nothing in them is executed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy
from jaxtyping import Bool, UInt8

from mtpsl.data.published.matlab import read_matlab
from mtpsl.data.published.pascal_classes import NORMALS_CLASSES, PART_CLASSES, PERSON
from mtpsl.errors import UserError
from mtpsl.tasks.thinning import thin

ARCHIVE = "part of the release's archive PASCAL_MT"


def human_parts(path: Path) -> UInt8[np.ndarray, "h w"] | None:
    """The part of a person at every pixel: 0 none, 1 to 6 as in `PART_CLASSES`; None if there is no part at all.

    A person whose parts are not marked counts as 0, as in public code; where parts overlap, the last one in the file
    counts.

    Raises:
        UserError: the file is missing, broken, or holds something else.
    """
    anno = read_matlab(path, ["anno"], ARCHIVE)["anno"]
    try:
        label = _draw(anno, path)
    except UserError:
        raise
    except (IndexError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path}: `anno` should hold the objects of an image, each with class, class_ind, mask and parts: it is "
            f"foreign: use {ARCHIVE}"
        ) from error
    return label if label is not None and label.any() else None


def _draw(anno: np.ndarray, path: Path) -> UInt8[np.ndarray, "h w"] | None:
    """Fields are taken by their place: image name, objects; class, class_ind, mask, parts; part name, mask."""
    label: np.ndarray | None = None
    for thing in np.ravel(anno[0][0][1]):
        if int(thing[1].item()) != PERSON:
            continue
        for part in np.ravel(thing[3]):
            name, mask = str(part[0].item()), np.asarray(part[1])
            if name not in PART_CLASSES:
                raise UserError(f"{path}: unknown part {name!r} of a person: known are {', '.join(PART_CLASSES)}")
            if mask.ndim != 2 or (label is not None and mask.shape != label.shape):
                raise UserError(f"{path}: the mask of {name!r} has size {mask.shape}: all should have the image's")
            if label is None:
                label = np.zeros(mask.shape, np.uint8)
            label[mask.astype(bool)] = PART_CLASSES[name]
    return label


def context_edges(path: Path) -> UInt8[np.ndarray, "h w"]:
    """1 where classes meet: where the Laplacian of `LabelMap` is not zero, thinned to lines.

    Raises:
        UserError: as for `human_parts`.
    """
    # OpenCV's default border: mirrored about the outermost pixels, which are not repeated
    edges = scipy.ndimage.laplace(_label_map(path).astype(np.float64), mode="mirror") != 0
    return thin(edges[None])[0].astype(np.uint8)


def context_boundaries(path: Path) -> UInt8[np.ndarray, "h w"]:
    """1 where the class differs from that of the right, the lower or the lower right neighbor, thinned to lines.

    So `seg2bmap` of the Berkeley segmentation benchmark draws boundaries, half a pixel towards the upper left.

    Raises:
        UserError: as for `human_parts`.
    """
    labels = _label_map(path)
    beyond = np.pad(labels, ((0, 1), (0, 1)), mode="edge")
    differs = (beyond[:-1, 1:] != labels) | (beyond[1:, :-1] != labels) | (beyond[1:, 1:] != labels)
    return thin(differs[None])[0].astype(np.uint8)


def normals_known(path: Path) -> UInt8[np.ndarray, "h w"]:
    """1 where `LabelMap` names a class that has normals (`NORMALS_CLASSES`).

    Raises:
        UserError: as for `human_parts`.
    """
    known: Bool[np.ndarray, "h w"] = np.isin(_label_map(path), NORMALS_CLASSES)
    return known.astype(np.uint8)


def _label_map(path: Path) -> np.ndarray:
    labels = read_matlab(path, ["LabelMap"], ARCHIVE)["LabelMap"]
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "biuf" or labels.ndim != 2 or not labels.size:
        raise UserError(f"{path}: `LabelMap` should be an image of class numbers: it is foreign: use {ARCHIVE}")
    return labels
