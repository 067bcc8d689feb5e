"""Losses of classes beside plain cross-entropy, and weights of classes that are rare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

#: what stands for weights that follow from how often each class is labelled
BALANCED = "balanced"


def dice_loss(
    probability: Float[Tensor, "b c h w"], target: Int[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]
) -> Float[Tensor, " b"]:
    """One minus the soft Dice coefficient of each image, averaged over the classes that its label shows.

    F. Milletari, N. Navab, S.-A. Ahmadi, "V-Net: fully convolutional neural networks for volumetric medical image
    segmentation", 3DV 2016, with the plain sums in place of those of squares. Only valid pixels count; an image without
    any has loss zero.

    >>> target = torch.tensor([[[0, 0, 1]]])
    >>> dice_loss(torch.full((1, 2, 1, 3), 0.5), target, target >= 0)
    tensor([0.5143])
    """
    label = torch.zeros_like(probability).scatter_(1, target.masked_fill(~valid, 0)[:, None], 1.0)
    label, seen = (x.masked_fill(~valid[:, None], 0.0).flatten(2) for x in (label, probability))
    area = label.sum(2)
    loss = 1 - 2 * (seen * label).sum(2) / (seen.sum(2) + area).clamp(min=1e-12)
    shown = area > 0
    return loss.masked_fill(~shown, 0.0).sum(1) / shown.sum(1).clamp(min=1)


def balanced_weights(counts: Int[Tensor, " c"]) -> list[float]:
    """Weights that make all classes count alike: pixels over (classes times the class's pixels).

    A class without a pixel has weight 1 and does not count among the classes.

    >>> balanced_weights(torch.tensor([60, 0, 20]))
    [0.6666666666666666, 1.0, 2.0]
    """
    pixels, present = int(counts.sum()), int((counts > 0).sum())
    return [pixels / (present * count) if count else 1.0 for count in counts.tolist()]


def check_class_losses(num_classes: int, class_weights: Any, label_smoothing: Any, dice: Any) -> None:
    """Refuse options that mean nothing.

    Raises:
        ValueError: one does.
    """
    if class_weights is not None and class_weights != BALANCED:
        listed = isinstance(class_weights, Sequence) and not isinstance(class_weights, str)
        if not listed:
            raise ValueError(f"`class_weights` should be {BALANCED} or a list of numbers, not {class_weights}")
        if len(class_weights) != num_classes:
            raise ValueError(
                f"`class_weights` should have {num_classes} numbers, one for each class, not {len(class_weights)}"
            )
        if not all(map(_weight, class_weights)) or not any(class_weights):
            raise ValueError(f"`class_weights` should hold no negative number and not only 0, not {[*class_weights]}")
    if not _weight(label_smoothing) or label_smoothing >= 1:
        raise ValueError(f"`label_smoothing` should be a number from 0 to below 1, not {label_smoothing}")
    if not _weight(dice):
        raise ValueError(f"`dice` should be a weight of 0 or more, not {dice}")


def _weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
