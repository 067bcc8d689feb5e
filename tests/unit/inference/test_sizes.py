"""A picture is seen as those of the training were."""

from __future__ import annotations

import pytest

from mtpsl.inference import TrainingSizes


@pytest.mark.parametrize("stored", [(64, 256), (480, 640), (640, 480), (33, 47)], ids=str)
@pytest.mark.parametrize("size", [(64, 64), (288, 384), (96, 32)], ids=str)
def test_the_pictures_of_the_training_are_brought_to_its_size(stored: tuple[int, int], size: tuple[int, int]) -> None:
    sizes = TrainingSizes.count(size, [stored] * 3)
    assert sizes.whole(*stored) == size
    assert sizes.whole(2 * stored[0], 2 * stored[1]) == size  # the same picture with more pixels
    assert sizes.part(*stored) == size


def test_pictures_between_the_narrowest_and_the_widest_are_brought_to_the_size() -> None:
    sizes = TrainingSizes.count((512, 512), [(375, 500), (500, 375), (333, 500)])
    for picture in ((375, 500), (500, 375), (333, 500), (400, 400), (480, 640)):
        assert sizes.whole(*picture) == (512, 512)


@pytest.mark.parametrize(
    ("picture", "seen"),
    [
        ((64, 64), (256, 64)),  # squeezed four times, as the training pictures were
        ((64, 128), (128, 64)),
        ((64, 512), (64, 128)),  # wider than any: the same squeeze, so twice as wide
        ((10, 400), (26, 256)),  # at most four times the longer side
    ],
)
def test_other_pictures_are_squeezed_like_the_nearest_and_keep_their_aspect(
    picture: tuple[int, int], seen: tuple[int, int]
) -> None:
    assert TrainingSizes.count((64, 64), [(64, 256)] * 2).whole(*picture) == seen


def test_a_slightly_wider_picture_is_seen_only_slightly_wider() -> None:
    sizes = TrainingSizes.count((100, 50), [(400, 300), (300, 400)])
    assert sizes.whole(300, 400) == (100, 50)
    assert sizes.whole(300, 404) == (99, 50)
    assert sizes.whole(408, 300) == (102, 50)


@pytest.mark.parametrize(("size", "stored"), [((0, 5), ()), ((5, 5), ((4, -1, 2),))])
def test_sizes_that_are_none_are_refused(size: tuple[int, int], stored: tuple[tuple[int, int, int], ...]) -> None:
    with pytest.raises(ValueError, match="image_size should be positive"):
        TrainingSizes(size, stored)
