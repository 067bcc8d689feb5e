"""Colors of classes can be told apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from mtpsl.tasks import Segmentation
from mtpsl.tasks.color_difference import ciede2000, cielab
from mtpsl.tasks.palette import CLEAR, FIRST, RESERVED, palette

CAMVID = [[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222], [128, 128, 0]]


def smallest(colors: np.ndarray) -> float:
    """Smallest CIEDE2000 between any two colors from 0 to 1, by scikit-image."""
    lab = rgb2lab(colors[None].astype(np.float64))[0]
    first, second = np.triu_indices(len(lab), 1)
    return float(deltaE_ciede2000(lab[first], lab[second]).min())


def test_color_differences_are_those_of_scikit_image_and_of_the_published_test_data() -> None:
    colors = np.random.default_rng(0).random((60, 3))
    lab = rgb2lab(colors[None])[0]
    assert np.abs(cielab(torch.tensor(colors)).numpy() - lab).max() < 0.01
    first, second = np.mgrid[:60, :60]
    ours = ciede2000(torch.tensor(lab), torch.tensor(lab)).numpy()
    np.testing.assert_allclose(ours, deltaE_ciede2000(lab[first], lab[second]), atol=1e-6)
    # Sharma, Wu, Dalal 2005, Table 1: pairs 7, 9, 10, 17 and 34, around the places where hues jump
    pairs = [
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ]
    for one, other, expected in pairs:
        found = ciede2000(torch.tensor([one], dtype=torch.float64), torch.tensor([other], dtype=torch.float64))
        assert float(found) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("count", [2, 7, 14, 25, 40])
def test_any_two_of_up_to_40_classes_look_different(count: int) -> None:
    colors = palette(count).numpy()
    assert colors.shape == (count, 3)
    assert smallest(colors) > CLEAR
    assert smallest(np.concatenate([colors, np.array(RESERVED) / 255])) > 10


def test_more_classes_only_add_colors_and_the_first_are_the_pleasant_ones() -> None:
    assert torch.equal(palette(40)[:9], palette(9))
    assert (palette(7) * 255).round().int().tolist() == [list(color) for color in FIRST]
    assert len(palette(300).unique(dim=0)) == 300


def test_given_colors_stay_and_the_others_keep_away_from_them() -> None:
    given = [*CAMVID, [31, 119, 180], *[None] * 13]
    colors = Segmentation(num_classes=20, colors=given).colors
    assert (colors[:7] * 255).round().int().tolist() == given[:7]
    lab = cielab(colors)
    assert float(ciede2000(lab[7:], lab[:7]).min()) > CLEAR
    assert smallest(colors[7:].numpy()) > CLEAR
    assert torch.equal(Segmentation(num_classes=20, colors=given).colors, colors)
