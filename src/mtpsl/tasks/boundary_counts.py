"""Right and wrong boundary pixels of one image, at every threshold."""

from __future__ import annotations

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int

from mtpsl.tasks.boundary_matching import count_bits, count_matches
from mtpsl.tasks.thinning import pack_levels, thin_packed


def check_tolerance(tolerance: float) -> None:
    """Refuse a distance that no two pixels of an image can have.

    Raises:
        ValueError: it is no share of the image's diagonal.
    """
    if not 0 <= tolerance <= 1:
        raise ValueError(f"tolerance should be a share of the image's diagonal from 0 to 1, not {tolerance}")


def count_boundaries(
    probability: Float[np.ndarray, "h w"],
    label: Bool[np.ndarray, "h w"],
    mask: Bool[np.ndarray, "h w"],
    *,
    distance: float,
    thresholds: int,
    thin: bool,
    nms: bool,
) -> tuple[Int[np.ndarray, " thresholds"], Int[np.ndarray, " thresholds"]]:
    """Matched and predicted pixels of one image at every threshold.

    Args:
        probability: of a boundary.
        label: boundaries, thinned where `thin` is set.
        mask: pixels that count.
        distance: up to which pixels may be paired, in pixels.
        thresholds: how many probabilities are tried.
        thin: reduce binarized predictions to lines of one pixel.
        nms: before that, keep only what is largest across the boundary.
    """
    if nms:
        probability = suppress(probability)
    steps = np.arange(1, thresholds + 1)
    passed = np.searchsorted(steps / (thresholds + 1), probability, side="right")
    # Thresholds without a probability in between give the same map; those above all give an empty one.
    levels = np.unique(passed[passed > 0])
    maps = pack_levels(passed, levels)
    maps = (thin_packed(maps) if thin else maps) * mask
    matched = count_matches(maps, label, distance)
    predicted = np.array([count_bits(plane.ravel()) for plane in maps], dtype=np.int64).ravel()
    which = np.searchsorted(levels, steps)
    return np.append(matched[: len(levels)], 0)[which], np.append(predicted[: len(levels)], 0)[which]


def suppress(probability: Float[np.ndarray, "h w"], *, smoothing: float = 2.0) -> Float[np.ndarray, "h w"]:
    """Zero where a pixel is lower than a neighbor across the ridge that it lies on (non-maximum suppression).

    The ridge's direction comes from the second derivatives of the map, smoothed by `smoothing` pixels; neighbors are
    interpolated at a distance of one pixel; of equal values all stay.
    """
    gradient_y, gradient_x = np.gradient(scipy.ndimage.gaussian_filter(probability, smoothing))
    yy, xy = np.gradient(gradient_y)
    xx = np.gradient(gradient_x, axis=1)
    # The axis of strongest curvature. The formula gives the axis of the Hessian's larger eigenvalue; where the sum of
    # both is negative, as on a ridge, the other eigenvalue is the larger one in size.
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.where(xx + yy < 0, np.pi / 2, 0.0)
    y, x = np.indices(probability.shape)
    sides = [
        scipy.ndimage.map_coordinates(
            probability, (y + side * np.sin(angle), x + side * np.cos(angle)), order=1, mode="nearest"
        )
        for side in (-1, 1)
    ]
    return np.where(probability >= np.maximum(*sides) - 1e-12, probability, 0.0)
