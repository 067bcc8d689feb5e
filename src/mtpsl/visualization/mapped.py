"""What the mapping network makes of a prediction and of a label, as heat maps over the image."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mtpsl.tasks.drawing import ColorScale
from mtpsl.visualization.grid import GRAY, as_picture, beside, blank, cell_size, framed, margin, text, under
from mtpsl.visualization.scales import scale_bar

Maps = tuple[Tensor, Tensor]


def draw_mapped(
    image: Float[Tensor, "3 h w"],
    maps: Mapping[str, Maps],
    *,
    title: str = "",
) -> Image.Image:
    """Draw a row for every pair: image, mapped prediction, mapped label and their cosine distance (paper Fig. 3, 5, 6).

    Heat maps show the Euclidean norm over channels. Prediction and label of a pair have one scale; the distances of all
    pairs have one scale, from 0. A place where a map is zero in every channel has no direction, so its distance is 1.

    Args:
        image: values from 0 to 1.
        maps: of each pair, named `source -> target`, the mapped prediction of the source and the mapped label of the
            target, both of one shape (c, h2, w2).
        title: a line above.

    Raises:
        ValueError: no pair, or two maps of a pair differ in shape.
    """
    if not maps:
        raise ValueError("maps should hold at least one pair of mapped features")
    for name, (prediction, label) in maps.items():
        if prediction.ndim != 3 or prediction.shape != label.shape:
            shapes = tuple(prediction.shape), tuple(label.shape)
            raise ValueError(f"{name}: both mapped features should have one shape (c, h, w), not {shapes}")
    cell = cell_size(*image.shape[-2:])
    width = max(cell[1] + 2, 200)
    distances = {name: distance_map(*pair) for name, pair in maps.items()}
    farthest = max(1e-6, *(float(x.max()) for x in distances.values()))
    rows = []
    for name, pair in maps.items():
        prediction, label = (magnitudes(x) for x in pair)
        both = torch.stack([prediction, label])
        low, high = float(both.min()), float(both.max())
        source, _, target = (word.strip() for word in name.partition("->"))
        heads = [
            "image",
            f"mapped {source} prediction",
            f"mapped {target} label" if target else "mapped label",
            "cosine distance",
        ]
        mean = float(distances[name].mean())
        columns = [
            [framed(as_picture(image), cell)],
            [framed(overlay(prediction, image, low, high, "inferno"), cell), bar("inferno", low, high, width)],
            [framed(overlay(label, image, low, high, "inferno"), cell), bar("inferno", low, high, width)],
            [
                framed(overlay(distances[name], image, 0.0, farthest, "viridis"), cell),
                bar("viridis", 0.0, farthest, width),
                text(f"mean {mean:.3f}", 16),
            ],
        ]
        titled = [
            under([text(head, 15, color=GRAY, width=width), *parts, blank(width, 1)])
            for head, parts in zip(heads, columns, strict=True)
        ]
        heading = f"{source} → {target}" if target else name
        rows.append(under([text(heading, 17, bold=True, width=4 * width), beside(titled)]))
    sheet = under(rows, gap=14)
    return margin(under([text(title, 19, bold=True, width=sheet.width), sheet], gap=10) if title else sheet)


def distance_map(prediction: Float[Tensor, "c h w"], label: Float[Tensor, "c h w"]) -> Float[Tensor, "h w"]:
    """One minus the cosine over channels, pixel by pixel; infinite and undefined values count as zero."""
    a, b = finite(prediction), finite(label)
    return (1 - F.cosine_similarity(a, b, dim=0)).clamp(min=0)


def magnitudes(features: Float[Tensor, "c h w"]) -> Float[Tensor, "h w"]:
    """The Euclidean norm over channels."""
    return finite(features).norm(dim=0)


def finite(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The same values on the CPU, with zero where there is no finite one."""
    return torch.nan_to_num(x.detach().float().cpu(), nan=0.0, posinf=0.0, neginf=0.0)


def overlay(
    heat: Float[Tensor, "h2 w2"], image: Float[Tensor, "3 h w"], low: float, high: float, name: str
) -> Image.Image:
    """A heat map, enlarged bilinearly, over the image in gray."""
    size = tuple(image.shape[-2:])
    smooth = F.interpolate(heat[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    colors = mapped_colors((smooth - low) / max(high - low, 1e-12), name)
    return as_picture(0.8 * colors + 0.2 * finite(image).mean(0))


def bar(name: str, low: float, high: float, width: int) -> Image.Image:
    """The scale of a heat map."""
    return scale_bar(ColorScale(mapped_colors(torch.linspace(0, 1, 256), name), low, high), width)


def mapped_colors(unit: Float[Tensor, "*shape"], name: str) -> Float[Tensor, "3 ..."]:
    """Values from 0 to 1 in a color map of matplotlib's."""
    from matplotlib import colormaps  # drawing only: importing it at the top would slow every start

    return torch.from_numpy(colormaps[name](unit.clamp(0, 1).numpy())).float().movedim(-1, 0)[:3]
