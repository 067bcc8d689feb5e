"""Colors for the directions of vectors with many channels: their first three principal components."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

#: directions that differ by less than this (the length between unit vectors) are drawn in nearly one color
LEAST = 0.1


def principal_colors(maps: Sequence[Float[Tensor, "c _ _"]]) -> tuple[list[Float[Tensor, "3 _ _"]], float]:
    """Colors from 0 to 1 of every place of some maps, and the share of the directions' variance that they show.

    The vectors are brought to length 1, as a cosine takes them, and one basis is found for those of all maps: equal
    directions have equal colors wherever they are. All three components have one scale, so that the distance of two
    colors is in proportion to that of the directions; directions that are all alike are all gray.

    Args:
        maps: finite values of as many channels each.

    >>> right, up = torch.tensor([2.0, 0.0]).view(2, 1, 1), torch.tensor([0.0, 5.0]).view(2, 1, 1)
    >>> (one, other, again), share = principal_colors([right, up, 3 * right])
    >>> torch.equal(one, again), torch.equal(one, other), round(share, 3)
    (True, False, 1.0)
    """
    units = [F.normalize(one.double(), dim=0) for one in maps]
    rows = torch.cat([one.flatten(1).T for one in units])
    mean = rows.mean(0)
    variances, axes = torch.linalg.eigh((rows - mean).T @ (rows - mean))  # ascending
    basis = axes.flip(1)[:, :3]
    basis = F.pad(basis * basis.gather(0, basis.abs().argmax(0, keepdim=True)).sign(), (0, 3 - basis.shape[1]))
    found = [torch.einsum("chw,ck->khw", one - mean[:, None, None], basis) for one in units]
    reach = torch.cat([one.abs().flatten() for one in found]).quantile(0.99).clamp(min=LEAST)
    share = float(variances.flip(0)[:3].sum() / variances.sum().clamp(min=1e-12))
    return [(0.5 + 0.5 * one / reach).clamp(0, 1).float() for one in found], share
