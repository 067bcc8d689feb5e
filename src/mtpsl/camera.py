"""Pinhole cameras."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera: focal lengths and the place of the optical axis, in pixels from the first one's center."""

    fx: float
    fy: float
    cx: float
    cy: float

    def resized(self, old: tuple[int, int], new: tuple[int, int]) -> Intrinsics:
        """The same camera for images of another height and width.

        >>> Intrinsics(100, 100, 31.5, 23.5).resized((48, 64), (24, 32))
        Intrinsics(fx=50.0, fy=50.0, cx=15.5, cy=11.5)
        """
        y, x = new[0] / old[0], new[1] / old[1]
        return Intrinsics(self.fx * x, self.fy * y, (self.cx + 0.5) * x - 0.5, (self.cy + 0.5) * y - 0.5)

    def matrix(self) -> list[list[float]]:
        """What takes points (x right, y down, z forward) to pixels.

        >>> Intrinsics(50, 60, 31.5, 23.5).matrix()
        [[50, 0.0, 31.5], [0.0, 60, 23.5], [0.0, 0.0, 1.0]]
        """
        return [[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera and the height and width of the images that its numbers are for."""

    intrinsics: Intrinsics
    size: tuple[int, int]

    def at(self, size: tuple[int, int]) -> Intrinsics:
        """The same camera for its images at another size.

        Raises:
            ValueError: that size has another aspect ratio (by more than 1 % and a pixel), so that they are cropped, or
                images of another camera.

        >>> Camera(Intrinsics(100, 100, 31.5, 23.5), (48, 64)).at((24, 32)).fx
        50.0
        """
        width = size[0] * self.size[1] / self.size[0]
        if abs(size[1] - width) > max(1, 0.01 * width):
            (height, width), (found, wide) = self.size, size
            raise ValueError(
                f"the camera is that of images of {height}x{width} (height x width), which those of {found}x{wide} are "
                "no other size of: give a `camera` with the `size` of these images"
            )
        return self.intrinsics.resized(self.size, size)
