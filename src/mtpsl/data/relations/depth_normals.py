"""Surface normals from a depth map."""

from __future__ import annotations

from itertools import product

import numpy as np
import scipy
from jaxtyping import Bool, Float

from mtpsl.camera import Intrinsics

#: a neighboring window takes a pixel over if its plane fits this many times better (mean squared residual)
BETTER = 4.0
#: usual limit of what a plane may be off, as a share of the depth: that of a noisy sensor
WORST = 0.02


def normals_from_depth(
    depth: Float[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    camera: Intrinsics,
    radius: int = 3,
    worst: float = WORST,
) -> tuple[Float[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """Unit normals in the camera's frame (x right, y up, z towards the viewer) and where they are known.

    Inverse depth is a linear function of the pixel's place on a plane, so a plane is fitted to it by least squares in
    the window of 2 `radius` + 1 pixels around each pixel. Windows that reach over an edge or a crease fit badly: there
    a pixel takes the plane of one of the eight windows beside its own that still hold it in their border, if that fits
    clearly better. A normal is unknown where depth is, where fewer than a third of a window is known, and where no
    plane fits.

    Args:
        depth: along the optical axis, in any unit.
        valid: where depth is known; there it has to be above 0.
        camera: of this image size.
        radius: of the windows. A larger one averages noise, a smaller one keeps small things.
        worst: normals are unknown where the best plane is off by more than this share of the depth (root mean square).

    >>> wall = np.full((9, 9), 2.0)
    >>> normals, valid = normals_from_depth(wall, wall > 0, Intrinsics(8, 8, 4, 4))
    >>> bool(valid.all()), bool(np.allclose(normals, (0, 0, 1)))
    (True, True)
    """
    fit = _fit_planes(np.divide(1.0, depth, out=np.zeros(depth.shape), where=valid), valid, radius)
    right, down, inverse, misfit = _best(fit, radius)
    height, width = depth.shape
    at_axis = inverse + right * (camera.cx - np.arange(width)) + down * (camera.cy - np.arange(height)[:, None])
    normals = np.stack((-right * camera.fx, down * camera.fy, at_axis), -1)
    length = np.sqrt((normals**2).sum(-1))
    known = valid & (misfit < worst**2) & (length > 0)
    return np.where(known[..., None], normals / np.where(known, length, 1)[..., None], 0).astype(np.float32), known


def _fit_planes(q: Float[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"], radius: int) -> Float[np.ndarray, "4 h w"]:
    """For the window around each pixel: slopes to the right and down, value in the middle, relative squared misfit."""
    steps = np.arange(-radius, radius + 1.0)

    def sums(x: np.ndarray, power: int) -> np.ndarray:
        """Along the last axis: sums of x times a power of the distance from the window's middle."""
        return scipy.ndimage.correlate1d(x, steps**power, axis=-1, mode="constant")

    def moment(x: np.ndarray, across: int, down: int) -> np.ndarray:
        # columns as contiguous lines: over axis 0 the same took ten times as long
        return sums(np.ascontiguousarray(sums(x, across).T), down).T

    def mass(across: int, down: int) -> np.ndarray:
        if valid.all():
            return sums(np.ones(q.shape[0]), down)[:, None] * sums(np.ones(q.shape[1]), across)
        return moment(valid.astype(np.float64), across, down)

    n, x, y = mass(0, 0), mass(1, 0), mass(0, 1)
    xx, xy, yy = mass(2, 0), mass(1, 1), mass(0, 2)
    s, sx, sy = moment(q, 0, 0), moment(q, 1, 0), moment(q, 0, 1)
    squares = moment(q**2, 0, 0)
    enough = n >= len(steps) ** 2 / 3
    n = np.where(enough, n, 1)
    # centered second moments, so that the three unknowns reduce to two
    xx, xy, yy = xx - x * x / n, xy - x * y / n, yy - y * y / n
    sx, sy, rest = sx - x * s / n, sy - y * s / n, squares - s * s / n
    determinant = xx * yy - xy * xy
    enough &= determinant > 1e-6 * n**2
    determinant = np.where(enough, determinant, 1)
    right, down = (yy * sx - xy * sy) / determinant, (xx * sy - xy * sx) / determinant
    mean = s / n
    middle = mean - right * x / n - down * y / n
    residual = np.maximum(rest - right * sx - down * sy, 0) / np.maximum(n - 3, 1)
    misfit = np.where(enough & (mean > 0), residual / np.where(mean > 0, mean, 1) ** 2, np.inf)
    return np.stack((right, down, middle, misfit))


def _best(fit: Float[np.ndarray, "4 h w"], radius: int) -> Float[np.ndarray, "4 h w"]:
    """For each pixel the best of the nine windows that hold it: slopes, the value at the pixel, misfit."""
    height, width = fit.shape[1:]
    least = fit[3] / BETTER
    rows, columns = np.broadcast_arrays(np.arange(height, dtype=np.int32)[:, None], np.arange(width, dtype=np.int32))
    own, rows, columns = (rows, columns), rows.copy(), columns.copy()
    for dy, dx in product((-radius, 0, radius), repeat=2):
        if dx == dy == 0 or abs(dy) >= height or abs(dx) >= width:
            continue
        here = slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx))
        there = slice(max(0, dy), height - max(0, -dy)), slice(max(0, dx), width - max(0, -dx))
        better = fit[3][there] < least[here]
        for best, other in ((least, fit[3]), (rows, own[0]), (columns, own[1])):
            np.copyto(best[here], other[there], where=better)
    right, down, middle, misfit = fit[:, rows, columns]
    return np.stack((right, down, middle + right * (own[1] - columns) + down * (own[0] - rows), misfit))
