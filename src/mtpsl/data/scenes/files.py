"""The built-in scenes as files: dataset.yaml and the stored numbers."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mtpsl.data.scenes.furniture import CLASSES

#: one for each class
COLORS = (
    (150, 111, 80),
    (205, 205, 215),
    (245, 245, 190),
    (214, 64, 53),
    (240, 160, 30),
    (110, 70, 160),
    (60, 140, 225),
    (20, 90, 120),
    (70, 165, 70),
    (235, 120, 190),
)

#: the entries of dataset.yaml
FORMATS: dict[str, dict[str, object]] = {
    "segmentation": {"classes": [*CLASSES], "ignore": 255, "colors": [[*color] for color in COLORS]},
    "depth": {"scale": 0.001, "missing": 0, "unit": "m"},
    "normals": {"offset": 128, "divisor": 127},
    "edges": {"ignore": 255},
}


def png_array(task: str, target: Tensor) -> np.ndarray:
    """The array of a label's PNG: classes, millimeters in 16 bits, 128 + 127 times the normal, edges 0 or 1.

    >>> png_array("depth", Tensor([[[1.2346]]]))
    array([[1235]], dtype=uint16)
    """
    x = target.numpy()
    if task == "depth":
        return np.clip(np.round(x[0] * 1000), 1, 65535).astype(np.uint16)
    if task == "normals":
        return (np.round(127 * np.moveaxis(x, 0, 2)) + 128).astype(np.uint8)
    return (x[0] if task == "edges" else x).astype(np.uint8)
