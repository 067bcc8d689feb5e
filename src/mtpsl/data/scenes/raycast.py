"""A pinhole camera in a furnished room: what each pixel sees, how far away and from which side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mtpsl.data.scenes.solids import FACES, Solids, faces_and_normals, first_entries, nonzero


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in a world whose z points up; lengths in meters.

    The columns of `axes` are the directions to the right, up and back (towards the viewer) in the world. `fov` is the
    vertical field of view in radians; pixels are square and the optical axis meets the middle of the image.
    """

    position: Float[np.ndarray, " 3"]
    axes: Float[np.ndarray, "3 3"]
    fov: float

    def focal(self, height: int) -> float:
        """The focal length in pixels of an image of that height."""
        return height / 2 / float(np.tan(self.fov / 2))

    def rays(self, height: int, width: int) -> Float[np.ndarray, "p 3"]:
        """World directions through the pixels' centers, row by row, each reaching one meter along the optical axis."""
        x = (np.arange(width) + 0.5 - width / 2) / self.focal(height)
        y = (height / 2 - np.arange(height) - 0.5) / self.focal(height)
        seen = np.stack(np.broadcast_arrays(x[None, :], y[:, None], -1.0), -1)
        return (seen.reshape(-1, 3) @ self.axes.T).astype(np.float32)


@dataclass(frozen=True)
class Hits:
    """What each ray meets first.

    `distance` is in lengths of the ray's direction; `solid` is 0 for the room and i + 1 for solid i; `normal` is in
    the world and points to the side that the ray comes from; `point` is in the solid's frame, from its center (for the
    room: in the world).
    """

    distance: Float[np.ndarray, " p"]
    solid: Int[np.ndarray, " p"]
    face: Int[np.ndarray, " p"]
    normal: Float[np.ndarray, "p 3"]
    point: Float[np.ndarray, "p 3"]

    @property
    def surface(self) -> Int[np.ndarray, " p"]:
        """A number for each face of each solid."""
        return self.solid * FACES + self.face


def look(
    position: Float[np.ndarray, " 3"], *, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, fov: float = 1.0
) -> Camera:
    """A camera that looks along `yaw` (0 is the world's x, counterclockwise) and `pitch` upwards; all in radians.

    >>> look(np.zeros(3), yaw=np.pi / 2).axes.round().astype(int) + 0
    array([[ 1,  0,  0],
           [ 0,  0, -1],
           [ 0,  1,  0]])
    """
    forward = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)])
    level = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    upright = np.cross(level, forward)
    right = np.cos(roll) * level + np.sin(roll) * upright
    up = np.cos(roll) * upright - np.sin(roll) * level
    return Camera(position, np.stack((right, up, -forward), -1), fov)


def trace(
    solids: Solids, room: Float[np.ndarray, " 3"], origin: Float[np.ndarray, " 3"], rays: Float[np.ndarray, "p 3"]
) -> Hits:
    """What rays from a point inside the room and outside of its solids meet first.

    Args:
        solids: what stands in the room; may be none.
        room: the room reaches from the world's origin to this corner.
        origin: where all rays start.
        rays: their directions in the world, of any length.
    """
    hits = trace_room(room, origin, rays)
    distance, nearest = first_entries(solids, origin, rays)
    pixels = np.flatnonzero(distance < hits.distance)
    solid, reached = nearest[pixels], distance[pixels]
    direction = nonzero(solids.to_local(rays[pixels], solid))
    start = solids.to_local((origin - solids.center)[solid].astype(np.float32), solid)
    point = start + reached[:, None] * direction
    face, normal = faces_and_normals(solids, solid, start, direction, point)
    hits.distance[pixels], hits.solid[pixels], hits.face[pixels] = reached, solid + 1, face
    hits.normal[pixels], hits.point[pixels] = solids.to_world(normal, solid), point
    return hits


def trace_room(room: Float[np.ndarray, " 3"], origin: Float[np.ndarray, " 3"], rays: Float[np.ndarray, "p 3"]) -> Hits:
    """Where rays from inside leave an empty room; its faces are numbered like a box's."""
    rays, start = nonzero(rays), origin.astype(np.float32)
    towards = rays > 0
    exits = (np.where(towards, room.astype(np.float32), np.float32(0)) - start) / rays
    axis = exits.argmin(1)
    rows = np.arange(len(rays))
    distance = exits[rows, axis]
    normal = np.zeros_like(rays)
    normal[rows, axis] = np.where(towards[rows, axis], -1, 1)
    face = 2 * axis + towards[rows, axis]
    return Hits(distance, np.zeros_like(face), face, normal, start + distance[:, None] * rays)


def lit(
    solids: Solids, light: Float[np.ndarray, " 3"], points: Float[np.ndarray, "p 3"], bias: float = 0.01
) -> Bool[np.ndarray, " p"]:
    """Which points no solid hides from a light; what is nearer than `bias` meters in front of a point is the point."""
    rays = points - light.astype(np.float32)
    length = np.sqrt(np.einsum("pd,pd->p", rays, rays))
    distance, _ = first_entries(solids, light, rays)
    return distance * length > length - bias
