"""Augmentation that changes colors and leaves labels alone."""

from __future__ import annotations

from dataclasses import replace

import torch

from mtpsl.structures import Batch


class PhotometricAugmentation:
    """Brightness, contrast and saturation of each image at random, and a slight blur of every fifth.

    Args:
        strength: 0 changes nothing, at 1 each of the three changes by up to 40 %.

    Raises:
        ValueError: the strength does not lie between 0 and 1.
    """

    def __init__(self, strength: float) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"photometric should lie between 0 and 1, not {strength}")
        from torchvision.transforms import v2  # takes seconds to import: --help does without

        most = 0.4 * strength
        self.change = v2.Compose(
            [
                v2.ColorJitter(brightness=most, contrast=most, saturation=most),
                v2.RandomApply([v2.GaussianBlur(3, sigma=(0.1, 0.1 + strength))], p=0.2),
            ]
        )

    def __call__(self, batch: Batch) -> Batch:
        """The batch with other colors."""
        images = torch.stack([self.change(image) for image in batch.images])
        return replace(batch, images=images)
