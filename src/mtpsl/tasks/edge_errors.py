"""Which boundary pixels of one image were hit, missed or falsely found."""

from __future__ import annotations

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int

from mtpsl.tasks.boundary_counts import count_boundaries, suppress
from mtpsl.tasks.thinning import thin

NOTHING, MISSED, FALSE, HIT = range(4)


def edge_errors(
    probability: Float[np.ndarray, "h w"],
    label: Bool[np.ndarray, "h w"],
    mask: Bool[np.ndarray, "h w"],
    *,
    distance: float,
    thresholds: int,
    nms: bool,
) -> Int[np.ndarray, "h w"]:
    """The kind of every pixel, at the threshold that is best for this image, of lines of one pixel.

    A predicted pixel within `distance` of a labelled one is a hit, and no labelled pixel within it of a predicted one
    is missed. A departure from the score, where every pixel has only one partner: this says what a person sees.

    Args:
        probability: of a boundary.
        label: boundaries of any width.
        mask: pixels that count.
        distance: in pixels.
        thresholds: how many are tried.
        nms: keep only probabilities that are largest across the boundary.
    """
    label = thin((label & mask)[None])[0]
    options = {"distance": distance, "thresholds": thresholds, "nms": nms}
    matched, predicted = count_boundaries(probability, label, mask, thin=True, **options)  # type: ignore[arg-type]
    best = int((matched / np.maximum(predicted + label.sum(), 1)).argmax())
    found = (suppress(probability) if nms else probability) >= (best + 1) / (thresholds + 1)
    found = thin(found[None])[0] & mask
    kind = np.full(label.shape, NOTHING)
    kind[label & ~near(found, distance)] = MISSED
    close = near(label, distance)
    kind[found & ~close] = FALSE
    kind[found & close] = HIT
    return kind


def near(places: Bool[np.ndarray, "h w"], distance: float) -> Bool[np.ndarray, "h w"]:
    """What lies within a distance of some place."""
    if not places.any():
        return np.zeros_like(places)
    reached: Bool[np.ndarray, "h w"] = scipy.ndimage.distance_transform_edt(~places) <= distance + 1e-9
    return reached
