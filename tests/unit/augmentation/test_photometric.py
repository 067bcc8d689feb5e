"""Colors change, image by image; labels do not."""

from __future__ import annotations

import pytest
import torch

from builders import LABELS, batch
from mtpsl.augmentation.photometric import PhotometricAugmentation
from mtpsl.structures import Batch


def test_images_change_each_in_its_own_way_and_labels_stay() -> None:
    data = batch(LABELS["all labelled"], (32, 32))
    same = Batch(data.keys, data.images[:1].expand_as(data.images).clone(), data.targets, data.valid)
    torch.manual_seed(0)
    seen = PhotometricAugmentation(0.5)(same)
    assert seen.targets is same.targets
    assert seen.valid is same.valid
    assert seen.images.min() >= 0
    assert seen.images.max() <= 1
    assert not any(torch.equal(seen.images[i], same.images[i]) for i in range(3))
    assert not torch.equal(seen.images[0], seen.images[1])


def test_a_seed_repeats_the_change_and_strength_makes_it_larger() -> None:
    data = batch(LABELS["all labelled"], (32, 32))

    def change(strength: float) -> torch.Tensor:
        torch.manual_seed(3)
        return PhotometricAugmentation(strength)(data).images - data.images

    assert torch.equal(change(0.4), change(0.4))
    assert change(0.8).abs().mean() > change(0.1).abs().mean()
    with pytest.raises(ValueError, match="between 0 and 1"):
        PhotometricAugmentation(1.1)
