"""How far maps in a joint space are from each other."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def centered(x: Float[Tensor, "r c h w"]) -> Float[Tensor, "r c h w"]:
    """Maps without their mean over the image, channel by channel (in float32).

    >>> import torch
    >>> centered(torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])).tolist()
    [[[[-1.0, 1.0]], [[0.0, 0.0]]]]
    """
    x = x.float()
    return x - x.mean((-2, -1), keepdim=True)


def cosine_distance(a: Float[Tensor, "r c h w"], b: Float[Tensor, "r c h w"]) -> Float[Tensor, " r"]:
    """One minus the cosine over channels, averaged over pixels (in float32)."""
    return (1 - F.cosine_similarity(a.float(), b.float(), dim=1)).mean((-2, -1))
