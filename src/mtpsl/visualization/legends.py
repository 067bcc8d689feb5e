"""What the colors of a task's pictures mean."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from mtpsl.tasks import Depth, MultiLabel, Normals, Regression, Segmentation, Task
from mtpsl.visualization.grid import GREY, as_picture, beside, blank, color_bar, swatches, text, under

MOST_CLASSES = 30


def legend(task: Task, values: Tensor, valid: Bool[Tensor, "b h w"], width: int) -> Image.Image | None:
    """The legend of the labels and decoded predictions `values`, or None for a task that needs none."""
    if isinstance(task, Segmentation):
        return class_legend(task, values, valid, width)
    if isinstance(task, Depth):
        return depth_legend(task, values, valid, width)
    if isinstance(task, Normals):
        return normals_legend(task)
    if isinstance(task, MultiLabel):
        present = (values.movedim(1, -1)[valid] > 0.5).any(0).nonzero()[:, 0].tolist()
        rgb = (task.colors * 255).round().int().tolist()
        return swatches([(task.class_names[i], (*rgb[i],)) for i in present], width) if present else None
    if isinstance(task, Regression):
        return regression_legend(task, values, valid, width)
    return None


def class_legend(task: Segmentation, values: Tensor, valid: Bool[Tensor, "b h w"], width: int) -> Image.Image | None:
    """Color and name of the classes that occur; of very many only the most frequent."""
    counts = torch.bincount(values[valid].flatten(), minlength=task.num_classes)
    present = counts.argsort(descending=True)[: int((counts > 0).sum())]
    if not len(present):
        return None
    shown = present[:MOST_CLASSES].sort().values.tolist()
    colors = (task.colors * 255).round().int().tolist()
    entries = [(task.class_names[i], (colors[i][0], colors[i][1], colors[i][2])) for i in shown]
    box = swatches(entries, width)
    if len(present) > len(shown):
        box = under([box, text(f"and {len(present) - len(shown)} rarer classes", 14, color=GREY)], gap=3)
    return box


def depth_legend(task: Depth, values: Tensor, valid: Bool[Tensor, "b h w"], width: int) -> Image.Image | None:
    """The range of depth, drawn by the task itself so that the bar has the picture's scale."""
    seen = values[:, 0][valid]
    if not len(seen):
        return None
    low, high = float(seen.min()), float(seen.max())
    ramp = torch.linspace(low, high, 256).view(1, 1, 1, 256)
    return color_bar(task.colorize(ramp)[0, :, 0], f"{low:.3g}", f"{high:.3g} {task.unit}".rstrip(), width)


def regression_legend(task: Regression, values: Tensor, valid: Bool[Tensor, "b h w"], width: int) -> Image.Image | None:
    """A wheel of directions for vectors, a bar for the channel that is drawn; three channels are RGB and need none."""
    seen = values[:, :2].movedim(1, -1)[valid]
    if not len(seen) or (task.out_channels == 3 and not task.vector):
        return None
    if task.vector:
        side, longest = 46, float(seen.square().sum(-1).sqrt().max())
        axis = torch.linspace(-1, 1, side)
        x, y = axis[None, :].expand(side, side), axis[:, None].expand(side, side)
        inside = x**2 + y**2 <= 1
        vectors = torch.zeros(1, task.out_channels, side, side)
        vectors[0, :2] = torch.stack([x, y]) * inside
        picture = as_picture(task.colorize(vectors)[0].where(inside, torch.ones(())))
        words = [
            text("from the middle", 14, color=GREY),
            text(f"rim: {longest:.3g} {task.unit}".rstrip(), 14, color=GREY),
        ]
        return beside([picture, under([blank(1, 2), *words], gap=2)], gap=10)
    low, high = task.range or (float(seen[:, 0].min()), float(seen[:, 0].max()))
    ramp = torch.zeros(1, task.out_channels, 1, 256)
    ramp[:, 0] = torch.linspace(low, high, 256)
    return color_bar(task.colorize(ramp)[0, :, 0], f"{low:.3g}", f"{high:.3g} {task.unit}".rstrip(), width)


def normals_legend(task: Normals) -> Image.Image:
    """A ball seen from the camera: the color of every direction towards the viewer."""
    side = 46
    axis = torch.linspace(-1, 1, side)
    x, y = axis[None, :].expand(side, side), -axis[:, None].expand(side, side)
    inside = x**2 + y**2 <= 1
    ball = torch.stack([x, y if task.y_axis == "up" else -y, (1 - x**2 - y**2).clamp(min=0).sqrt()])[None]
    picture = as_picture(task.colorize(ball)[0].where(inside, torch.ones(())))
    words = [text("as on a ball", 14, color=GREY), text("seen from the camera", 14, color=GREY)]
    return beside([picture, under([blank(1, 2), *words], gap=2)], gap=10)
