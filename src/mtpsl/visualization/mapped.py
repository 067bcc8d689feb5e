"""What the mapping network makes of a prediction and of a label, in colors that can be compared."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mtpsl.tasks.drawing import ColorScale
from mtpsl.visualization.grid import GRAY, as_picture, beside, blank, cell_size, framed, margin, paragraph, text, under
from mtpsl.visualization.principal import principal_colors
from mtpsl.visualization.scales import scale_bar

Maps = tuple[Tensor, Tensor]


def draw_mapped(
    image: Float[Tensor, "3 h w"],
    maps: Mapping[str, Maps],
    *,
    title: str = "",
) -> Image.Image:
    """Draw a row for every pair: image, mapped prediction, mapped label and their cosine distance (paper Fig. 3, 5, 6).

    Maps are drawn in the colors of their directions (`principal_colors`), in one basis for all of them: equal
    directions have equal colors, and pairs that all look the same tell nothing apart. The distances of all pairs have
    one scale, from 0. A place where a map is zero in every channel has no direction, so its distance is 1.

    Args:
        image: values from 0 to 1.
        maps: of each pair, named `source -> target`, the mapped prediction of the source and the mapped label of the
            target, both of one shape (c, h2, w2), with as many channels in every pair.
        title: a line above.

    Raises:
        ValueError: no pair, two maps of a pair differ in shape, or two pairs in their channels.
    """
    if not maps:
        raise ValueError("maps should hold at least one pair of mapped features")
    for name, (prediction, label) in maps.items():
        if prediction.ndim != 3 or prediction.shape != label.shape:
            shapes = tuple(prediction.shape), tuple(label.shape)
            raise ValueError(f"{name}: both mapped features should have one shape (c, h, w), not {shapes}")
    if len(channels := {len(label) for _, label in maps.values()}) > 1:
        raise ValueError(f"all pairs should have as many channels, not {', '.join(map(str, sorted(channels)))}")
    cell = cell_size(*image.shape[-2:])
    width = max(cell[1] + 2, 200)
    distances = {name: distance_map(*pair) for name, pair in maps.items()}
    farthest = max(1e-6, *(float(x.max()) for x in distances.values()))
    colors, share = principal_colors([finite(x) for pair in maps.values() for x in pair])
    rows = []
    for number, name in enumerate(maps):
        prediction, label = (enlarged(x, image) for x in colors[2 * number : 2 * number + 2])
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
            [framed(as_picture(prediction), cell)],
            [framed(as_picture(label), cell), text(f"mean cosine distance {mean:.3g}", 15, width=width)],
            [framed(overlay(distances[name], image, 0.0, farthest), cell), bar(0.0, farthest, width)],
        ]
        titled = [
            under([text(head, 15, color=GRAY, width=width), *parts, blank(width, 1)])
            for head, parts in zip(heads, columns, strict=True)
        ]
        heading = f"{source} → {target}" if target else name
        rows.append(under([text(heading, 17, bold=True, width=4 * width), beside(titled)]))
    meaning = (
        "Colors are the directions of the mapped vectors: their first three principal components, in one basis for all "
        f"maps above ({100 * share:.0f} % of their variance). Equal directions have equal colors."
    )
    sheet = under([*rows, paragraph(meaning, 15, max(row.width for row in rows), GRAY)], gap=14)
    return margin(under([text(title, 19, bold=True, width=sheet.width), sheet], gap=10) if title else sheet)


def distance_map(prediction: Float[Tensor, "c h w"], label: Float[Tensor, "c h w"]) -> Float[Tensor, "h w"]:
    """One minus the cosine over channels, pixel by pixel; infinite and undefined values count as zero."""
    a, b = finite(prediction), finite(label)
    return (1 - F.cosine_similarity(a, b, dim=0)).clamp(min=0)


def enlarged(x: Float[Tensor, "c h2 w2"], image: Float[Tensor, "3 h w"]) -> Float[Tensor, "c h w"]:
    """A map at the image's size, bilinearly."""
    return F.interpolate(x[None], tuple(image.shape[-2:]), mode="bilinear", align_corners=False)[0]


def finite(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The same values on the CPU, with zero where there is no finite one."""
    return torch.nan_to_num(x.detach().float().cpu(), nan=0.0, posinf=0.0, neginf=0.0)


def overlay(heat: Float[Tensor, "h2 w2"], image: Float[Tensor, "3 h w"], low: float, high: float) -> Image.Image:
    """A heat map, enlarged bilinearly, over the image in gray."""
    colors = heat_colors((enlarged(heat[None], image)[0] - low) / max(high - low, 1e-12))
    return as_picture(0.8 * colors + 0.2 * finite(image).mean(0))


def bar(low: float, high: float, width: int) -> Image.Image:
    """The scale of a heat map."""
    return scale_bar(ColorScale(heat_colors(torch.linspace(0, 1, 256)), low, high), width)


def heat_colors(unit: Float[Tensor, "*shape"]) -> Float[Tensor, "3 ..."]:
    """Values from 0 to 1 in colors from dark to bright."""
    from matplotlib import colormaps  # drawing only: importing it at the top would slow every start

    return torch.from_numpy(colormaps["viridis"](unit.clamp(0, 1).numpy())).float().movedim(-1, 0)[:3]
