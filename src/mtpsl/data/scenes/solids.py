"""Boxes, cylinders and spheres that stand upright: where rays enter them, by which face and with which normal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

BOX, CYLINDER, SPHERE = 0, 1, 2
#: faces of a box are -x, +x, -y, +y, bottom, top; a cylinder has a side, a bottom and a top, a sphere a side
SIDE, BOTTOM, TOP, FACES = 0, 4, 5, 6


@dataclass(frozen=True)
class Solids:
    """Solids with a vertical axis, in a world whose z points up; lengths in meters.

    `half` holds half the extent along the solid's own axes, which `yaw` (radians, counterclockwise) turns about the
    vertical: radius, radius, half the height of a cylinder; three times the radius of a sphere.
    """

    kind: Int[np.ndarray, " n"]
    center: Float[np.ndarray, "n 3"]
    half: Float[np.ndarray, "n 3"]
    yaw: Float[np.ndarray, " n"]

    def to_local(self, x: Float[np.ndarray, "p 3"], solid: Int[np.ndarray, " p"]) -> Float[np.ndarray, "p 3"]:
        """Directions in the frames of the given solids."""
        return turned(x, -self.yaw[solid])

    def to_world(self, x: Float[np.ndarray, "p 3"], solid: Int[np.ndarray, " p"]) -> Float[np.ndarray, "p 3"]:
        """Directions in the frames of the given solids, as seen in the world."""
        return turned(x, self.yaw[solid])


def turned(x: Float[np.ndarray, "p 3"], angle: Float[np.ndarray, " #p"]) -> Float[np.ndarray, "p 3"]:
    """Vectors turned counterclockwise about the vertical."""
    cos, sin = np.cos(angle).astype(x.dtype), np.sin(angle).astype(x.dtype)
    return np.stack((cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1], x[:, 2]), -1)


def first_entries(
    solids: Solids, origin: Float[np.ndarray, " 3"], rays: Float[np.ndarray, "p 3"]
) -> tuple[Float[np.ndarray, " p"], Int[np.ndarray, " p"]]:
    """Where each ray enters a solid first, in lengths of its direction (inf where never), and which solid (or 0).

    All rays start at `origin`, outside of every solid.
    """
    distance, which = np.full(len(rays), np.inf, np.float32), np.zeros(len(rays), int)
    start = solids.to_local((origin - solids.center).astype(np.float32), np.arange(len(solids.kind)))
    near = near_solids(solids, origin, rays)
    for i, kind in enumerate(solids.kind.tolist()):
        pixels = np.flatnonzero(near[i])
        if not len(pixels):
            continue
        direction = nonzero(turned(rays[pixels], -solids.yaw[i : i + 1]))
        half = solids.half[i].astype(np.float32)
        if kind == SPHERE:
            low, high = within_circle(start[i], direction, float(half[0]))
        elif kind == CYLINDER:
            low, high = within_circle(start[i, :2], direction[:, :2], float(half[0]))
            flat_low, flat_high = within_slabs(start[i, 2:], direction[:, 2:], half[2:])
            low, high = np.maximum(low, flat_low[:, 0]), np.minimum(high, flat_high[:, 0])
        else:
            lows, highs = within_slabs(start[i], direction, half)
            low, high = lows.max(1), highs.min(1)
        hit = (low <= high) & (low > 0) & (low < distance[pixels])
        distance[pixels[hit]], which[pixels[hit]] = low[hit], i
    return distance, which


def near_solids(
    solids: Solids, origin: Float[np.ndarray, " 3"], rays: Float[np.ndarray, "p 3"]
) -> Bool[np.ndarray, "n p"]:
    """Which rays meet the sphere around each solid (a little larger, for rounding); the others miss the solid."""
    around = np.where(solids.kind == SPHERE, solids.half[:, 0] ** 2, (solids.half**2).sum(1)) * 1.02
    center = solids.center - origin
    outside = (center**2).sum(1) - around
    # How far along a ray a center has to lie for the ray to come close enough; from inside, every ray does.
    enough = np.where(outside > 0, np.sqrt(np.maximum(outside, 0)), -np.inf).astype(np.float32)
    units = rays / np.sqrt(np.einsum("pd,pd->p", rays, rays))[:, None]
    return center.astype(np.float32) @ units.T > enough[:, None]


def within_slabs(
    start: Float[np.ndarray, "*#p d"], direction: Float[np.ndarray, "p d"], half: Float[np.ndarray, "*#p d"]
) -> tuple[Float[np.ndarray, "p d"], Float[np.ndarray, "p d"]]:
    """From where to where a ray runs between -half and half, for each axis."""
    middle, width = -start / direction, half / np.abs(direction)
    return middle - width, middle + width


def within_circle(
    start: Float[np.ndarray, " d"], direction: Float[np.ndarray, "p d"], radius: float
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """From where to where a ray runs inside a circle or sphere around zero; an empty range where it misses.

    The discriminant is taken at the ray's point nearest to the center: the textbook's b² - 4ac cancels in float32.
    """
    square = np.einsum("pd,pd->p", direction, direction)
    middle = -(direction @ start) / square
    closest = start + middle[:, None] * direction
    remaining = radius * radius - np.einsum("pd,pd->p", closest, closest)
    width = np.sqrt(np.maximum(remaining, 0) / square)
    return np.where(remaining < 0, np.inf, middle - width), np.where(remaining < 0, -np.inf, middle + width)


def faces_and_normals(
    solids: Solids,
    solid: Int[np.ndarray, " p"],
    start: Float[np.ndarray, "p 3"],
    direction: Float[np.ndarray, "p 3"],
    local: Float[np.ndarray, "p 3"],
) -> tuple[Int[np.ndarray, " p"], Float[np.ndarray, "p 3"]]:
    """The face by which each ray enters its solid and the outward normal there, in the solid's frame.

    Found from the order of the entries, not from the point `local`: at an edge rounding could name a face turned away.
    """
    kind, half = solids.kind[solid], solids.half[solid].astype(np.float32)
    rows = np.arange(len(solid))
    lows, _ = within_slabs(start, direction, half)
    # A cylinder was entered by its side if the ray met the plane of its end outside of the circle.
    end = start + lows[:, 2:] * direction
    by_side = (end[:, :2] ** 2).sum(1) > half[:, 0] ** 2
    axis = np.where(kind == CYLINDER, 2, lows.argmax(1))
    normal = np.zeros_like(local)
    normal[rows, axis] = -np.sign(direction[rows, axis])
    face = 2 * axis + (normal[rows, axis] > 0)

    curved = (kind == SPHERE) | ((kind == CYLINDER) & by_side)
    outward = local[curved]
    outward[kind[curved] == CYLINDER, 2] = 0
    normal[curved] = outward / np.linalg.norm(outward, axis=1, keepdims=True)
    face[curved] = SIDE
    return face, normal


def nonzero(rays: Float[np.ndarray, "p d"]) -> Float[np.ndarray, "p d"]:
    """The same directions with no component so small that dividing by it would overflow."""
    return np.where(np.abs(rays) < 1e-9, rays.dtype.type(1e-9), rays)
