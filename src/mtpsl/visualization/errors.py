"""What is wrong with a prediction, as a picture with its legend."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from mtpsl.tasks import Task
from mtpsl.tasks.drawing import ColorScale, ErrorAmounts, ErrorKinds
from mtpsl.visualization.grid import Size, as_picture, resized
from mtpsl.visualization.legends import Entry, drawn
from mtpsl.visualization.photo import gray_photo, nearest
from mtpsl.visualization.scales import plain, round_up

GRAY_SWATCH = 0.5, 0.5, 0.5
COVER = 0.85
"""How much of the gray photo is hidden by what is wrong."""
COLORS = "YlOrRd"
MOST = 0.98
"""The share of pixels whose error the scale reaches, where the task sets no limit."""

DrawErrorLegend = Callable[[int, Sequence[Entry]], Image.Image | None]


def draw_error(
    task: Task,
    image: Float[Tensor, "3 h w"],
    raw: Float[Tensor, "1 c h w"],
    label: Tensor,
    seen: Bool[Tensor, "1 h w"],
    size: Size,
) -> tuple[Image.Image, DrawErrorLegend]:
    """The error map at (height, width), and what draws its legend with further entries into a width."""
    finite = raw.isfinite().all(1)
    errors = task.error_map(torch.nan_to_num(raw), label, seen)
    if isinstance(errors, ErrorKinds):
        picture = draw_kinds(errors, image, finite, size)
        gray = [(f"{name} (gray photo)", plain(GRAY_SWATCH)) for name, color in errors.entries if color is None]
        kinds = [(name, plain(color)) for name, color in errors.entries if color is not None]
        return picture, lambda width, more: drawn(None, width, [*kinds[::-1], *gray, *more])
    scale = error_scale(errors, seen & finite)
    unit = (errors.amount / scale.high).nan_to_num(0.0).clamp(0, 1)
    colors = scale.colors[:, (unit[0] * (scale.colors.shape[1] - 1)).round().long()]
    picture = resized(as_picture(colors.masked_fill(~finite, 0.0)), size)
    return picture, lambda width, more: drawn(scale, width, more)


def draw_kinds(
    errors: ErrorKinds, image: Float[Tensor, "3 h w"], finite: Bool[Tensor, "1 h w"], size: Size
) -> Image.Image:
    """What is wrong in its color on the gray photo."""
    fine = (max(size[0], image.shape[-2]), max(size[1], image.shape[-1]))  # shrunk below, so that no line is lost
    kind, known = nearest(errors.kind, fine)[0], nearest(finite, fine)[0]
    gray = gray_photo(image, fine)
    colors = torch.tensor([color or (0.0, 0.0, 0.0) for _, color in errors.entries])[kind].movedim(-1, 0)
    cover = COVER * torch.tensor([float(color is not None) for _, color in errors.entries])[kind]
    return resized(as_picture((gray * (1 - cover) + colors * cover) * known), size)


def error_scale(errors: ErrorAmounts, valid: Bool[Tensor, "1 h w"]) -> ColorScale:
    """From pale, no error, to dark red; up to the task's limit, or a round number that few pixels exceed."""
    from matplotlib import colormaps  # drawing only: importing it at the top would slow every start

    amounts = errors.amount[valid].double()
    amounts = amounts[amounts.isfinite()]
    limit = errors.limit
    if limit is None:
        kept = amounts.sort().values
        limit = round_up(float(kept[int(MOST * (len(kept) - 1))])) if len(kept) else 1.0
    beyond = bool(len(amounts)) and float(amounts.max()) > limit
    colors = torch.tensor(colormaps[COLORS](range(256))[:, :3], dtype=torch.float32).T
    return ColorScale(colors, 0.0, limit, errors.unit, beyond)
