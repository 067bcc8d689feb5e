"""Patterns on surfaces: they tell a crate from a cabinet of the same color."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from mtpsl.data.scenes.raycast import Hits
from mtpsl.data.scenes.room import Scene
from mtpsl.data.scenes.solids import BOX, CYLINDER, SIDE, SPHERE

#: 0 shows a material's first color, 1 its second
Values = Float[np.ndarray, " p"]


@dataclass(frozen=True)
class Place:
    """Where on a surface points lie, in periods of its pattern.

    (u, v) are coordinates on the face, v up where it stands upright; (ru, rv) the same from -1 to 1 on a box;
    `angle` goes around the vertical axis once from 0 to 1; `x`, `y`, `z` are the solid's own.
    """

    u: Values
    v: Values
    ru: Values
    rv: Values
    angle: Values
    x: Values
    y: Values
    z: Values
    seed: int

    @classmethod
    def of(cls, scene: Scene, hits: Hits, pixels: Int[np.ndarray, " p"], period: float, seed: int) -> Place:
        """The places of some pixels, all of one material."""
        point, solid = hits.point[pixels], hits.solid[pixels]
        kinds = np.concatenate(([BOX], scene.solids.kind))[solid]
        half = np.concatenate((scene.room[None] / 2, scene.solids.half)).astype(np.float32)[solid]
        face = hits.face[pixels]
        x, y, z = point.T
        angle = np.arctan2(y, x) / np.float32(2 * np.pi) + np.float32(0.5)
        around = ((kinds == CYLINDER) & (face == SIDE)) | (kinds == SPHERE)
        u = np.where(around, angle * np.float32(2 * np.pi) * half[:, 0], np.where(face < 2, y, x))
        v = np.where(around | (face < 4), z, y)
        ru, rv = u / np.where(face < 2, half[:, 1], half[:, 0]), v / np.where(face < 4, half[:, 2], half[:, 1])
        return cls(u / period, v / period, ru, rv, angle, x / period, y / period, z / period, seed)


LATTICE = np.random.default_rng(0).random(1024).astype(np.float32)


def noise(x: Values, y: Values, seed: int) -> Values:
    """Smooth random values from 0 to 1 with details of size 1."""
    low_x, low_y = np.floor(x), np.floor(y)
    fx, fy = x - low_x, y - low_y
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    corner = low_x.astype(np.int64) * 73 + low_y.astype(np.int64) * 179 + seed * 7
    bottom = LATTICE[corner & 1023] * (1 - fx) + LATTICE[(corner + 73) & 1023] * fx
    top = LATTICE[(corner + 179) & 1023] * (1 - fx) + LATTICE[(corner + 252) & 1023] * fx
    return bottom * (1 - fy) + top * fy


def one_in(cell: Values, seed: int) -> Values:
    """A random number from 0 to 1 for each whole number."""
    return LATTICE[(np.floor(cell).astype(np.int64) * 517 + seed * 13) & 1023]


def plain(p: Place) -> Values:
    """Hardly visible blotches."""
    return 0.6 * noise(p.u, p.v, p.seed)


def carpet(p: Place) -> Values:
    """Fine and coarse blotches."""
    return 0.6 * noise(p.u, p.v, p.seed) + 0.4 * noise(p.u / 5, p.v / 5, p.seed + 1)


def tiles(p: Place) -> Values:
    """A checker board."""
    return (np.floor(p.u) + np.floor(p.v)) % 2


def planks(p: Place) -> Values:
    """Boards of different shades."""
    return 0.75 * one_in(p.v, p.seed) + 0.25 * noise(p.u / 4, p.v * 3, p.seed)


def stripes(p: Place) -> Values:
    """Upright stripes."""
    return np.floor(p.u) % 2


def grain(p: Place) -> Values:
    """Veins along the first axis."""
    return noise(p.u / 8, p.v, p.seed)


def boards(p: Place) -> Values:
    """Boards with gaps in a lighter frame."""
    frame = np.maximum(np.abs(p.ru), np.abs(p.rv)) > 0.75
    return np.where(frame, 0.0, np.where(p.v % 1 < 0.25, 1.0, 0.5))


def doors(p: Place) -> Values:
    """Doors with dark joints and a handle each."""
    joint = (np.abs(p.u % 1 - 0.5) > 0.44) | (np.abs(p.rv) > 0.93)
    handle = (np.abs(p.u % 1 - 0.3) < 0.06) & (np.abs(p.rv - 0.1) < 0.15)
    return np.where(joint, 1.0, np.where(handle, 0.8, 0.1))


def hoops(p: Place) -> Values:
    """Rings around a barrel."""
    return np.where((p.v + 0.2) % 1 < 0.35, 1.0, 0.15 * one_in(p.angle * 20, p.seed))


def segments(p: Place) -> Values:
    """Six segments of a ball."""
    return np.floor(p.angle * 6) % 2


def leaves(p: Place) -> Values:
    """Strong blotches."""
    mixed = noise(p.x + 0.6 * p.z, p.y - 0.7 * p.z, p.seed)
    return np.clip(2.5 * mixed - 0.8, 0, 1)


def painting(p: Place) -> Values:
    """Something abstract in a frame."""
    framed = np.maximum(np.abs(p.ru), np.abs(p.rv)) > 0.82
    return np.where(framed, 0.0, 0.4 + 0.6 * (noise(p.u, p.v, p.seed) > 0.5))


PATTERNS: dict[str, Callable[[Place], Values]] = {
    pattern.__name__: pattern
    for pattern in (
        plain,
        carpet,
        tiles,
        planks,
        stripes,
        grain,
        boards,
        doors,
        hoops,
        segments,
        leaves,
        painting,
    )
}
