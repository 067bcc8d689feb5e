"""Random rooms: walls, camera, furniture in front of it, and a lamp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from mtpsl.data.scenes.furniture import FURNITURE, Builder, Material, cabinet, color, picture
from mtpsl.data.scenes.raycast import Camera, look
from mtpsl.data.scenes.solids import Solids


@dataclass(frozen=True)
class Scene:
    """A furnished room, from the world's origin to the corner `room`; lengths in meters.

    `materials` starts with those of floor, walls and ceiling; `worn` names the material of each solid. `light` is a
    lamp inside the room; `ambient` is the share of light that comes from everywhere. `seed` is for patterns' details.
    """

    room: Float[np.ndarray, " 3"]
    solids: Solids
    worn: Int[np.ndarray, " n"]
    materials: list[Material]
    camera: Camera
    light: Float[np.ndarray, " 3"]
    ambient: float
    seed: int


def random_scene(random: np.random.Generator) -> Scene:
    """A room whose furniture stands mostly where the camera looks and never closer than 0.8 m to it."""
    b = Builder(random, [])
    room = np.array([b.between(3.6, 6.5), b.between(3.6, 6.5), b.between(2.4, 3.1)])
    paint_room(b)
    camera, yaw = random_camera(b, room)
    x, y, _ = camera.position.tolist()
    b.taken.append((x, y, 0.8))
    view = View(x, y, yaw)
    hang_and_lean(b, room, view)
    names = [*FURNITURE]
    weights = np.array([FURNITURE[name][4] for name in names])
    for _ in range(6 + int(random.integers(6))):
        name = names[int(np.searchsorted(weights.cumsum(), b.between(0, weights.sum()), side="right"))]
        build, small, large, spread, _ = FURNITURE[name]
        size = b.between(small, large)
        place = free_place(b, room, size * spread, view)
        if place is not None:
            b.taken.append((*place, size * spread))
            build(b, *place, 0.0, size)
    light = np.array([b.between(0.25, 0.75), b.between(0.25, 0.75), 1.0]) * room - [0, 0, b.between(0.1, 0.3)]
    kind, center, half, turn, worn = zip(*b.solids, strict=True) if b.solids else ((), (), (), (), ())
    solids = Solids(
        np.array(kind, int), np.array(center).reshape(-1, 3), np.array(half).reshape(-1, 3), np.array(turn, float)
    )
    seed = int(random.integers(2**16))
    return Scene(room, solids, np.array(worn, int), b.materials, camera, light, b.between(0.35, 0.6), seed)


@dataclass(frozen=True)
class View:
    """Where the camera stands on the floor and in which direction it looks."""

    x: float
    y: float
    yaw: float

    def angle(self, x: float, y: float) -> float:
        """How far a place lies to the side of the line of sight, in radians."""
        turn = np.arctan2(y - self.y, x - self.x) - self.yaw
        return abs(float((turn + np.pi) % (2 * np.pi) - np.pi))


def paint_room(b: Builder) -> None:
    """Materials of floor, walls and ceiling."""
    floor = ("tiles", "planks", "carpet")[int(b.random.integers(3))]
    period = {"tiles": b.between(0.25, 0.5), "planks": b.between(0.12, 0.22), "carpet": b.between(0.05, 0.1)}[floor]
    b.material("floor", floor, period, dark=b.between(0.5, 0.75), gloss=0.1)
    wall = color(b.between(0, 1), b.between(0.0, 0.35), b.between(0.6, 0.95))
    pattern = ("plain", "plain", "stripes")[int(b.random.integers(3))]
    b.materials.append(Material("wall", pattern, wall, wall * b.between(0.75, 0.9), b.between(0.15, 0.4)))
    ceiling = color(b.between(0, 1), b.between(0.0, 0.08), b.between(0.85, 1.0))
    b.materials.append(Material("ceiling", "plain", ceiling, ceiling * 0.95, 0.5))


def random_camera(b: Builder, room: Float[np.ndarray, " 3"]) -> tuple[Camera, float]:
    """A camera at eye level behind the middle of the room as seen along its line of sight, and its yaw."""
    yaw = b.between(0, 2 * np.pi)
    forward, side = np.array([np.cos(yaw), np.sin(yaw)]), np.array([np.sin(yaw), -np.cos(yaw)])
    floor = room[:2]
    place = floor / 2 - forward * b.between(0.25, 0.6) * floor.min() + side * b.between(-0.2, 0.2) * floor.min()
    position = np.array([*np.clip(place, 0.3, floor - 0.3), b.between(1.0, 1.8)])
    yaw += b.between(-0.25, 0.25)
    pitch, roll, fov = b.between(-0.36, -0.02), b.between(-0.05, 0.05), np.deg2rad(b.between(50, 64))
    return look(position, yaw=yaw, pitch=pitch, roll=roll, fov=float(fov)), yaw


def free_place(b: Builder, room: Float[np.ndarray, " 3"], radius: float, view: View) -> tuple[float, float] | None:
    """A place on the floor for a circle, mostly in view; None if there is hardly any."""
    for _ in range(30):
        x, y = (b.between(radius + 0.03, float(side) - radius - 0.03) for side in room[:2])
        stray = b.random.random() < 0.15
        if b.free(x, y, radius) and (stray or view.angle(x, y) < 0.6):
            return x, y
    return None


@dataclass(frozen=True)
class Spot:
    """A stretch of wall: its middle on the floor, `deep` in front of the wall, and its ends along the wall."""

    wall: int
    place: Float[np.ndarray, " 2"]
    low: float
    high: float

    @property
    def yaw(self) -> float:
        """The direction along the wall."""
        return np.pi / 2 if self.wall < 2 else 0.0

    def overlaps(self, other: Spot) -> bool:
        """Whether both need the same stretch of wall."""
        return self.wall == other.wall and self.low < other.high and other.low < self.high


def random_spot(b: Builder, room: Float[np.ndarray, " 3"], half: float, deep: float) -> Spot:
    """A random stretch of wall, 2 `half` wide; walls are -x, +x, -y, +y."""
    wall = int(b.random.integers(4))
    across, along = wall // 2, 1 - wall // 2
    place = np.zeros(2)
    place[along] = b.between(half + 0.05, float(room[along]) - half - 0.05)
    place[across] = room[across] - deep if wall % 2 else deep
    return Spot(wall, place, float(place[along]) - half, float(place[along]) + half)


def hang_and_lean(b: Builder, room: Float[np.ndarray, " 3"], view: View) -> None:
    """Cabinets along the walls in view, and pictures beside or above them."""
    cabinets: list[tuple[Spot, float]] = []
    for _ in range(5):
        half = (b.between(0.35, 0.8), b.between(0.2, 0.3), b.between(0.4, 1.05))
        spot = random_spot(b, room, half[0], half[1])
        along = np.array([np.cos(spot.yaw), np.sin(spot.yaw)])
        # Three circles cover the cabinet.
        circles = [
            (*(spot.place + along * half[0] * shift).tolist(), np.hypot(half[0] / 3, half[1]))
            for shift in (-2 / 3, 0, 2 / 3)
        ]
        if view.angle(*spot.place.tolist()) < 0.65 and all(b.free(*circle) for circle in circles):
            b.taken += circles
            x, y = spot.place.tolist()
            cabinet(b, x, y, spot.yaw, half)
            cabinets.append((spot, 2 * half[2]))
    pictures: list[Spot] = []
    for _ in range(9):
        wide = b.between(0.25, 0.6)
        tall, height = wide * b.between(0.6, 1.1), b.between(1.35, 1.75)
        spot = random_spot(b, room, wide, 0.02)
        hidden = any(spot.overlaps(other) and height - tall < top + 0.05 for other, top in cabinets)
        beside = not any(spot.overlaps(other) for other in pictures)
        if view.angle(*spot.place.tolist()) < 0.65 and beside and not hidden:
            x, y = spot.place.tolist()
            picture(b, x, y, height, spot.yaw, (wide, 0.02, tall))
            pictures.append(spot)
