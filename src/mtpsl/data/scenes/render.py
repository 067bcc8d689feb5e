"""From a scene to a photograph (patterns, a lamp with shadows, a sensor's blur and noise) and exact labels."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mtpsl.data.scenes.furniture import CLASSES
from mtpsl.data.scenes.patterns import PATTERNS, Place
from mtpsl.data.scenes.raycast import Hits, lit, trace
from mtpsl.data.scenes.room import Scene


def render(
    scene: Scene, size: tuple[int, int], random: np.random.Generator
) -> tuple[Float[Tensor, "3 h w"], dict[str, Tensor]]:
    """The picture of a scene and its labels; `random` is for exposure and noise."""
    rays = scene.camera.rays(*size)
    hits = trace(scene.solids, scene.room, scene.camera.position, rays)
    # floor, walls and ceiling wear materials 0, 1 and 2
    of_room = np.array([1, 1, 1, 1, 0, 2])[hits.face]
    material = np.where(hits.solid > 0, np.append(0, scene.worn)[hits.solid], of_room)
    classes = np.array([CLASSES.index(one.label) for one in scene.materials])
    picture = photograph(scene, hits, rays, material, size, random)
    normals = (hits.normal @ scene.camera.axes.astype(np.float32)).reshape(*size, 3)
    targets = {
        "segmentation": torch.from_numpy(classes[material].reshape(size)),
        "depth": torch.from_numpy(hits.distance.reshape(1, *size)),
        "normals": torch.from_numpy(np.ascontiguousarray(np.moveaxis(normals, 2, 0))),
        "edges": torch.from_numpy(boundaries(hits.surface.reshape(size)).astype(np.float32)[None]),
    }
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, 2, 0))), targets


def boundaries(surface: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Where the right or the lower neighbor differs."""
    edge = np.zeros(surface.shape, bool)
    edge[:, :-1] |= surface[:, :-1] != surface[:, 1:]
    edge[:-1] |= surface[:-1] != surface[1:]
    return edge


def photograph(
    scene: Scene,
    hits: Hits,
    rays: Float[np.ndarray, "p 3"],
    material: Int[np.ndarray, " p"],
    size: tuple[int, int],
    random: np.random.Generator,
) -> Float[np.ndarray, "h w 3"]:
    """The picture of a scene, 0 to 1 in steps of 1/255, for primary rays and the materials that they met."""
    albedo, gloss = paint(scene, hits, rays, material, size[0])
    light = scene.light.astype(np.float32)
    points = scene.camera.position.astype(np.float32) + hits.distance[:, None] * rays
    towards = light - points
    away = np.sqrt(np.einsum("pd,pd->p", towards, towards))
    towards /= away[:, None]
    cosine = np.einsum("pd,pd->p", towards, hits.normal)
    direct = cosine > 0
    direct[direct] = lit(scene.solids, scene.light, points[direct])
    lamp = direct * cosine * 2 / (1 + (away / 2.5) ** 2)
    sky = 0.8 + 0.2 * hits.normal[:, 2]
    # mirror reflection of the lamp, as seen along the ray
    mirrored = towards - 2 * cosine[:, None] * hits.normal
    shine = np.einsum("pd,pd->p", mirrored, rays) / np.sqrt(np.einsum("pd,pd->p", rays, rays))
    shade = scene.ambient * sky + (1 - scene.ambient) * lamp
    color = albedo * shade[:, None] + (direct * gloss * np.maximum(shine, 0) ** 30)[:, None]
    return expose(color.reshape(*size, 3), random)


def expose(light: Float[np.ndarray, "h w 3"], random: np.random.Generator) -> Float[np.ndarray, "h w 3"]:
    """What a sensor records: brightness and tint of a random exposure, a little blur, noise, 256 steps."""
    gain = (0.38 + 0.16 * random.random()) / light.mean() * (1 + 0.16 * (random.random(3) - 0.5))
    color = light * gain.astype(np.float32)
    blur = 0.15
    for axis in (0, 1):
        ends = np.pad(color, [(1, 1) if i == axis else (0, 0) for i in range(3)], mode="edge")
        before, after = (ends[:-2], ends[2:]) if axis == 0 else (ends[:, :-2], ends[:, 2:])
        color = (1 - 2 * blur) * color + blur * (before + after)
    deviation = 0.008 + 0.022 * random.random()
    noise = deviation * random.standard_normal(color.shape, dtype=np.float32)
    steps = np.round(255 * np.clip(color + noise, 0, 1)).astype(np.float32)
    return steps / np.float32(255)


def paint(
    scene: Scene, hits: Hits, rays: Float[np.ndarray, "p 3"], material: Int[np.ndarray, " p"], height: int
) -> tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, " p"]]:
    """Color and gloss of what each ray met; patterns fade where their details are smaller than pixels."""
    slant = np.abs(np.einsum("pd,pd->p", hits.normal, rays)) / np.sqrt(np.einsum("pd,pd->p", rays, rays))
    pixel = hits.distance / scene.camera.focal(height) / np.maximum(slant, 0.05)
    albedo, gloss = np.empty_like(rays), np.empty_like(pixel)
    order = np.argsort(material, kind="stable")
    numbers, starts = np.unique(material[order], return_index=True)
    for number, pixels in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        worn = scene.materials[number]
        mix = PATTERNS[worn.pattern](Place.of(scene, hits, pixels, worn.period, scene.seed + 31 * number))
        sharp = np.clip(worn.period / pixel[pixels] / 3 - 0.3, 0, 1)
        mix = (0.4 + (mix - 0.4) * sharp)[:, None].astype(np.float32)
        albedo[pixels] = (1 - mix) * worn.first.astype(np.float32) + mix * worn.second.astype(np.float32)
        gloss[pixels] = worn.gloss
    return albedo, gloss
