"""Large pictures in overlapping tiles and in strips."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from mtpsl.errors import UserError
from mtpsl.inference import Predictor, TrainingSizes
from mtpsl.inference.canvas import Miniature
from mtpsl.inference.resize import NUMBERS, resized, strips
from mtpsl.inference.tiles import blended, spans, weights
from mtpsl.structures import Output
from mtpsl.tasks import Depth, Normals, Segmentation


class Blur(nn.Module):
    """Averages over 9 x 9 pixels, so that a tile's border lacks what lies beyond it."""

    stride = 1

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, 1, 1, 1, generator=torch.Generator().manual_seed(0)))
        self.seen: list[tuple[int, int]] = []

    def forward(self, images: Tensor) -> Output:
        self.seen.append((images.shape[-2], images.shape[-1]))
        x = nn.functional.avg_pool2d(images, 9, 1, 4, count_include_pad=False)
        bright = x.mean(1, keepdim=True)
        return Output({"segmentation": bright * self.weight.view(1, -1, 1, 1), "depth": bright, "normals": x - 0.5}, [])


@pytest.mark.parametrize("tile", [32, 33, 100, 512])
@pytest.mark.parametrize("length", [1, 31, 32, 33, 50, 64, 100, 257, 1000])
def test_tiles_cover_a_side_and_their_weights_sum_to_one(length: int, tile: int) -> None:
    found = spans(length, tile)
    assert found[0][0] == 0
    assert found[-1][1] == length
    assert {stop - start for start, stop in found} == {found[0][1]}
    assert found[0][1] <= tile
    total = torch.zeros(length)
    for number, (start, stop) in enumerate(found):
        total[start:stop] += weights(number, found)
    torch.testing.assert_close(total, torch.ones(length))
    for (_, before), (start, _) in pairwise(found):
        assert before - start >= tile // 4 - 1
    for (_, before), (start, _) in zip(found, found[2:], strict=False):
        assert before <= start  # never three at one place


def test_blocks_cover_the_picture_once_and_add_up_what_the_tiles_said() -> None:
    image = torch.rand(1, 3, 130, 201, generator=torch.Generator().manual_seed(0))
    shown, count = torch.zeros_like(image), torch.zeros(130, 201)
    for top, left, block in blended(lambda r, c: {"x": image[..., slice(*r), slice(*c)]}, (130, 201), 64):
        height, width = block["x"].shape[-2:]
        shown[..., top : top + height, left : left + width] = block["x"]
        count[top : top + height, left : left + width] += 1
        assert max(height, width) <= 64
    assert torch.equal(count, torch.ones_like(count))
    torch.testing.assert_close(shown, image, atol=1e-6, rtol=0)


def test_tiles_bound_what_the_network_sees_and_leave_no_seam() -> None:
    image = torch.rand(3, 150, 220, generator=torch.Generator().manual_seed(1))
    network, tasks = Blur(), [Segmentation(num_classes=4), Depth(), Normals()]
    whole = Predictor(network, tasks, image_size=None).predict(image)
    network.seen.clear()
    tiled = Predictor(network, tasks, image_size=None).predict(image, tile=64)
    assert len(network.seen) > 6
    assert max(max(size) for size in network.seen) <= 64
    # beyond 4 pixels from a tile's border nothing is missing; there its weight is below a third
    assert (tiled["depth"] - whole["depth"]).abs().max() < 0.03
    assert (tiled["segmentation"] == whole["segmentation"]).float().mean() > 0.99
    torch.testing.assert_close(tiled["normals"].norm(dim=0), torch.ones(150, 220), atol=1e-4, rtol=0)


def test_tiles_are_seen_with_pixels_of_the_trainings_size() -> None:
    """Pictures of 200 x 400 were brought to 100 x 100: rows were halved, columns quartered."""
    network = Blur()
    predictor = Predictor(network, [Depth()], image_size=TrainingSizes((100, 100), ((200, 400, 5),)))
    predictor.predict(torch.rand(3, 300, 80), tile=80)
    assert set(network.seen) == {(38, 20)}  # tiles of 75 or 76 x 80


def test_a_tile_that_is_too_small_is_refused() -> None:
    with pytest.raises(UserError, match="tile should be at least 32 pixels, not 8"):
        Predictor(Blur(), [Depth()], image_size=None).predict(torch.rand(3, 20, 20), tile=8)


@pytest.mark.parametrize("before", [(1, 1), (7, 20), (60, 90), (5, 200)], ids=str)
@pytest.mark.parametrize("after", [(1, 1), (30, 1), (40, 50), (7, 90), (200, 100)], ids=str)
def test_strips_are_the_rows_of_the_resized_whole(
    before: tuple[int, int], after: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.rand(1, 3, *before, generator=torch.Generator().manual_seed(0))
    (first,) = (strip for _, strip in strips(x, after))
    torch.testing.assert_close(first, resized(x, after), atol=1e-5, rtol=0)
    monkeypatch.setattr("mtpsl.inference.resize.NUMBERS", 3 * after[1] * 4)
    tops, parts = zip(*strips(x, after), strict=True)
    assert [*tops] == [*range(0, after[0], 4)]
    assert torch.equal(torch.cat(parts, 2), first)  # where they end changes nothing


def test_memory_does_not_grow_with_classes_times_pixels() -> None:
    sizes: list[int] = []

    class Watched(Segmentation):
        def decode(self, prediction: Tensor) -> Tensor:
            sizes.append(prediction.numel())
            return super().decode(prediction)

    image = torch.rand(3, 400, 600)
    found = Predictor(Blur(100), [Watched(num_classes=100)], image_size=(32, 32)).predict(image)["segmentation"]
    assert found.shape == (400, 600)
    assert len(sizes) > 2
    assert max(sizes) <= NUMBERS


def test_a_miniature_holds_the_values_at_the_centers_of_its_pixels() -> None:
    x = torch.arange(60 * 80).view(1, 1, 60, 80).float()
    small = Miniature((60, 80), (6, 8))

    def parts() -> Iterator[tuple[int, int]]:
        yield from ((0, 0), (0, 33), (17, 0), (17, 33))

    for top, left in parts():
        small.put({"x": x[..., top : 17 if top == 0 else 60, left : 33 if left == 0 else 80]}, top, left)
    assert torch.equal(small.values["x"][0], x[0, 0, 5::10, 5::10])
