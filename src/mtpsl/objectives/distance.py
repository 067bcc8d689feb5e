"""How far maps in a joint space are from each other."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def cosine_distance(a: Float[Tensor, "r c h w"], b: Float[Tensor, "r c h w"]) -> Float[Tensor, " r"]:
    """One minus the cosine over channels, averaged over pixels (in float32)."""
    return (1 - F.cosine_similarity(a.float(), b.float(), dim=1)).mean((-2, -1))
