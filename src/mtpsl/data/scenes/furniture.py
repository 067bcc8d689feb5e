"""The things that furnish the built-in rooms, each made of upright solids with a typical shape and pattern."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from mtpsl.data.scenes.solids import BOX, CYLINDER, SPHERE

#: what a pixel can show, in the order of the class indices
CLASSES = ("floor", "wall", "ceiling", "table", "crate", "cabinet", "ball", "barrel", "plant", "picture")


@dataclass(frozen=True)
class Material:
    """The look of a surface: two colors, mixed by a pattern whose details are `period` meters large."""

    label: str
    pattern: str
    first: Float[np.ndarray, " 3"]
    second: Float[np.ndarray, " 3"]
    period: float
    gloss: float = 0.0


@dataclass
class Builder:
    """Collects solids and materials and keeps things apart: `taken` holds circles (x, y, radius) on the floor."""

    random: np.random.Generator
    materials: list[Material]
    solids: list[tuple[int, list[float], list[float], float, int]] = field(default_factory=list)
    taken: list[tuple[float, float, float]] = field(default_factory=list)

    def between(self, low: float, high: float) -> float:
        """A random number."""
        return low + (high - low) * float(self.random.random())

    def material(self, label: str, pattern: str, period: float, *, dark: float = 0.55, gloss: float = 0.0) -> int:
        """A new material of a random color; the pattern's second color is `dark` times the first."""
        first = color(self.between(0, 1), self.between(0.15, 0.75), self.between(0.35, 0.9))
        self.materials.append(Material(label, pattern, first, first * dark, period, gloss))
        return len(self.materials) - 1

    def add(self, kind: int, center: list[float], half: list[float], yaw: float, material: int) -> None:
        """One solid."""
        self.solids.append((kind, center, half, yaw, material))

    def free(self, x: float, y: float, radius: float) -> bool:
        """Whether a circle on the floor touches nothing."""
        return all(np.hypot(x - a, y - b) > radius + r for a, b, r in self.taken)


def color(hue: float, saturation: float, value: float) -> Float[np.ndarray, " 3"]:
    """RGB from 0 to 1."""
    ramp = np.abs((hue + np.array([0.0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1
    return value * (1 - saturation * (1 - np.clip(ramp, 0, 1)))


def table(b: Builder, x: float, y: float, z: float, size: float) -> None:
    """A plate of wood on four legs, sometimes with a thing on it."""
    long, wide, height, thick = size, size * b.between(0.5, 0.75), b.between(0.6, 0.8), b.between(0.02, 0.04)
    yaw, wood = b.between(0, np.pi), b.material("table", "grain", b.between(0.08, 0.16), dark=0.7)
    b.add(BOX, [x, y, z + height - thick], [long, wide, thick], yaw, wood)
    leg, inset = b.between(0.025, 0.045), 0.07
    for u, v in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        dx, dy = u * (long - inset), v * (wide - inset)
        place = [x + np.cos(yaw) * dx - np.sin(yaw) * dy, y + np.sin(yaw) * dx + np.cos(yaw) * dy]
        b.add(CYLINDER, [*place, z + height / 2 - thick], [leg, leg, height / 2 - thick], 0.0, wood)
    if b.random.random() < 0.75:
        thing = (ball, crate, plant)[int(b.random.integers(3))]
        thing(b, x, y, z + height, b.between(0.11, 0.19))


def crate(b: Builder, x: float, y: float, z: float, size: float) -> None:
    """A box of boards in a frame, sometimes with a smaller one or a ball on it."""
    half = [size / 1.5, size / 1.5 * b.between(0.7, 1.0), size * b.between(0.45, 0.7)]
    yaw = b.between(0, np.pi)
    b.add(BOX, [x, y, z + half[2]], half, yaw, b.material("crate", "boards", half[2] / 2, dark=0.6))
    if size > 0.3 and b.random.random() < 0.4:
        (crate, ball)[int(b.random.integers(2))](b, x, y, z + 2 * half[2], size * 0.5)


def ball(b: Builder, x: float, y: float, z: float, size: float) -> None:
    """A sphere with colored segments."""
    paint = b.material("ball", "segments", size, gloss=0.5)
    b.materials[paint] = Material("ball", "segments", b.materials[paint].first, np.full(3, 0.92), size, 0.5)
    b.add(SPHERE, [x, y, z + size], [size, size, size], b.between(0, np.pi), paint)


def barrel(b: Builder, x: float, y: float, z: float, size: float) -> None:
    """An upright cylinder with dark hoops."""
    height = size * b.between(1.1, 1.6)
    paint = b.material("barrel", "hoops", height / 1.5, dark=0.3, gloss=0.2)
    b.add(CYLINDER, [x, y, z + height], [size, size, height], b.between(0, np.pi), paint)


def plant(b: Builder, x: float, y: float, z: float, size: float) -> None:
    """A pot with a leafy crown, on a stem if it stands on the floor."""
    pot, height = size * 0.6, size * b.between(0.7, 1.1)
    stem = b.between(0.0, 0.5) if size > 0.25 else 0.0
    b.add(CYLINDER, [x, y, z + height / 2], [pot, pot, height / 2], 0.0, b.material("plant", "plain", 0.3))
    leaves = color(b.between(0.2, 0.42), b.between(0.4, 0.8), b.between(0.35, 0.7))
    b.materials.append(Material("plant", "leaves", leaves, leaves * 0.25, size / 5))
    crown = len(b.materials) - 1
    if stem:
        b.add(CYLINDER, [x, y, z + height + stem / 2], [0.03, 0.03, stem / 2], 0.0, crown)
    b.add(SPHERE, [x, y, z + height + stem + size * 0.85], [size, size, size], 0.0, crown)


#: what stands on the floor: how it is built, its smallest and largest size, its radius on the floor per size, weight
FURNITURE: dict[str, tuple[Callable[[Builder, float, float, float, float], None], float, float, float, float]] = {
    "table": (table, 0.45, 0.75, 1.25, 3.0),
    "crate": (crate, 0.25, 0.45, 0.95, 2.0),
    "ball": (ball, 0.18, 0.42, 1.0, 3.0),
    "barrel": (barrel, 0.22, 0.36, 1.0, 2.5),
    "plant": (plant, 0.26, 0.42, 1.0, 2.5),
}


def cabinet(b: Builder, x: float, y: float, yaw: float, half: tuple[float, float, float]) -> None:
    """A cupboard with doors."""
    wood = b.material("cabinet", "doors", b.between(0.35, 0.5), dark=0.45)
    b.add(BOX, [x, y, half[2]], [*half], yaw, wood)


def picture(b: Builder, x: float, y: float, z: float, yaw: float, half: tuple[float, float, float]) -> None:
    """A framed painting."""
    paint = b.material("picture", "painting", half[0] / 2.5)
    canvas = color(b.between(0, 1), b.between(0.3, 0.9), b.between(0.5, 1.0))
    b.materials[paint] = Material("picture", "painting", b.materials[paint].first, canvas, half[0] / 2.5)
    b.add(BOX, [x, y, z], [*half], yaw, paint)
