"""Losses of depth beside the absolute difference."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.structures import masked_mean

BALANCE = 0.5
"""Share of the squared mean that is taken off the mean square (lambda of Eq. 4)."""
LEAST = 0.1
"""Prediction over label below which the logarithm goes on as its tangent."""
SCALES = 4
"""Resolutions at which gradients are compared: every pixel, every second one, ..."""


def log_ratio(prediction: Float[Tensor, "b h w"], target: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """The logarithm of prediction over label, which is positive.

    Raw predictions may be zero or negative, which would have no logarithm or, clamped, no gradient: below a tenth of
    the label the logarithm goes on as its tangent, whatever the unit.
    """
    ratio = prediction / target
    return torch.where(ratio > LEAST, ratio.clamp(min=LEAST).log(), math.log(LEAST) + ratio / LEAST - 1)


def scale_invariant(difference: Float[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, " b"]:
    """The scale-invariant error of differences of logarithms: their mean square minus half of their squared mean.

    D. Eigen, C. Puhrsch, R. Fergus, "Depth map prediction from a single image using a multi-scale deep network",
    NeurIPS 2014, Eq. 4.

    >>> scale_invariant(torch.tensor([[[1.0, 3.0, 9.0]]]), torch.tensor([[[True, True, False]]]))
    tensor([3.])
    """
    return masked_mean(difference.square(), valid) - BALANCE * masked_mean(difference, valid).square()


def gradient_loss(difference: Float[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, " b"]:
    """How much the difference of prediction and label changes from pixel to pixel, summed over four resolutions.

    Z. Li, N. Snavely, "MegaDepth: learning single-view depth prediction from internet photos", CVPR 2018, Eq. 4. At
    each resolution the absolute steps to the right and down between valid pixels are summed and divided by the number
    of valid pixels.

    >>> gradient_loss(torch.tensor([[[0.0, 1.0, 5.0]]]), torch.tensor([[[True, True, False]]]))
    tensor([0.5000])
    """
    difference = difference.masked_fill(~valid, 0.0)
    total = difference.new_zeros(len(difference))
    for step in (2**scale for scale in range(SCALES)):
        x, seen = difference[:, ::step, ::step], valid[:, ::step, ::step]
        right = (x[..., 1:] - x[..., :-1]).abs().masked_fill(~(seen[..., 1:] & seen[..., :-1]), 0.0)
        down = (x[:, 1:] - x[:, :-1]).abs().masked_fill(~(seen[:, 1:] & seen[:, :-1]), 0.0)
        total = total + (right.sum((1, 2)) + down.sum((1, 2))) / seen.sum((1, 2)).clamp(min=1)
    return total
