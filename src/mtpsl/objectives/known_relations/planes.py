"""Surface normals of a depth map, with gradients: the planes that data sets derive normals with, on batches."""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

#: windows have 2 `RADIUS` + 1 pixels
RADIUS = 2
#: a neighboring window takes a pixel over if its plane fits this many times better (mean squared residual)
BETTER = 4.0


def normals_from_depth(
    inverse: Float[Tensor, "b 1 h w"], cameras: Float[Tensor, "b 3 3"], worst: float
) -> tuple[Float[Tensor, "b 3 h w"], Bool[Tensor, "b h w"]]:
    """Vectors along the normals (x right, y up, z towards the viewer; of any length), and where a plane fits.

    As `mtpsl.data.relations.depth_normals`, but inverse depth is known everywhere. Inverse depth q = c . (x, y, 1) of a
    plane n . P = 1 has c = K^-T n, so n = K^T c; a plane's distance cancels out. Which window a pixel takes and where
    planes fit has no gradient.

    Args:
        inverse: one over the depth along the optical axis, in any unit, above 0.
        cameras: what takes points (x right, y down, z forward) to pixels, 0 at the center of the first one.
        worst: a plane that is off by more than this share of the depth (root mean square) does not fit.
    """
    right, down, at_pixel, misfit = best_planes(fit_planes(inverse)).unbind(1)
    rows = torch.arange(inverse.shape[2], device=inverse.device, dtype=inverse.dtype)[:, None]
    columns = torch.arange(inverse.shape[3], device=inverse.device, dtype=inverse.dtype)
    plane = torch.stack((right, down, at_pixel - right * columns - down * rows), 1)
    normals = torch.einsum("bji,bjhw->bihw", cameras, plane)
    towards = normals.new_tensor([-1.0, 1.0, 1.0]).view(3, 1, 1)
    return normals * towards, misfit < worst**2


def fit_planes(inverse: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 4 h w"]:
    """For the window around each pixel: slopes to the right and down, value in the middle, relative squared misfit."""
    steps = torch.arange(-RADIUS, RADIUS + 1.0, device=inverse.device)
    x, y = steps.expand(len(steps), -1), steps[:, None].expand(-1, len(steps))
    kernels = torch.stack((torch.ones_like(x), x, y, x * x, x * y, y * y))[:, None]
    mean = inverse.mean((1, 2, 3), keepdim=True)
    q = inverse - mean  # sums of squares lose nothing
    n, x, y, xx, xy, yy = F.conv2d(torch.ones_like(q[:1]), kernels, padding=RADIUS)[0]
    s, sx, sy = F.conv2d(q, kernels[:3], padding=RADIUS).unbind(1)
    squares = F.conv2d(q.square(), kernels[:1], padding=RADIUS)[:, 0]
    xx, xy, yy = xx - x * x / n, xy - x * y / n, yy - y * y / n
    sx, sy, rest = sx - x * s / n, sy - y * s / n, squares - s * s / n
    determinant = (xx * yy - xy * xy).clamp(min=1e-6)  # zero in an image of one row
    right, down = (yy * sx - xy * sy) / determinant, (xx * sy - xy * sx) / determinant
    middle = (s - right * x - down * y) / n + mean[:, 0]
    residual = ((rest - right * sx - down * sy).clamp(min=0) / (n - 3).clamp(min=1)).detach()
    return torch.stack((right, down, middle, residual / (s / n + mean[:, 0]).square().detach()), 1)


def best_planes(fit: Float[Tensor, "b 4 h w"]) -> Float[Tensor, "b 4 h w"]:
    """For each pixel the best of the nine windows that hold it: slopes, the value at the pixel, misfit."""
    best, least = fit, fit[:, 3:].detach() / BETTER
    for dy, dx in product((-RADIUS, 0, RADIUS), repeat=2):
        if dx == dy == 0:
            continue
        right, down, middle, misfit = shifted(fit, dy, dx).unbind(1)
        other = torch.stack((right, down, middle - right * dx - down * dy, misfit), 1)
        better = other[:, 3:].detach() < least
        best, least = torch.where(better, other, best), torch.where(better, other[:, 3:].detach(), least)
    return best


def shifted(x: Float[Tensor, "b c h w"], dy: int, dx: int) -> Float[Tensor, "b c h w"]:
    """The values `dy` rows below and `dx` columns to the right; infinite beyond the border."""
    height, width = x.shape[-2:]
    around = F.pad(x, (RADIUS,) * 4, value=torch.inf)
    return around[..., RADIUS + dy : RADIUS + dy + height, RADIUS + dx : RADIUS + dx + width]
