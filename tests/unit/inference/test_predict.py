"""Predictions lie where the input's pixels lie, at any size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mtpsl.inference import Predictor
from mtpsl.inference.resize import resized
from mtpsl.structures import Output
from mtpsl.tasks import Depth, Edges, Normals, Segmentation, Task

TASKS: list[Task] = [Segmentation(num_classes=2), Depth("depth"), Depth("red"), Depth("green"), Normals(), Edges()]
SIZES = [(96, 128), (33, 47), (128, 96), (1, 50), (50, 1), (1, 1), (301, 199), (40, 900), (7, 8)]


class Mirror(nn.Module):
    """Predicts the pixel itself, so that the input is its own oracle."""

    stride = 32

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Output:
        assert not self.training
        assert images.shape[-2] % self.stride == 0
        assert images.shape[-1] % self.stride == 0
        self.seen.append(tuple(images.shape))
        bright = images.mean(1, keepdim=True)
        raw = {
            "segmentation": torch.cat([1 - bright, bright], 1),
            "depth": bright,
            "red": images[:, :1],
            "green": images[:, 1:2],
            "normals": images * 2 - 1,
            "edges": torch.logit(bright, eps=1e-6),
        }
        return Output({name: x * self.weight for name, x in raw.items()}, [])


def ramps(height: int, width: int) -> Tensor:
    """Red grows to the right, green downwards, at pixel centers."""
    x = ((torch.arange(width) + 0.5) / width).expand(height, width)
    y = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
    return torch.stack([x, y, (x + y) / 2])


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("trained", [(96, 128), None], ids=str)
def test_predictions_lie_on_the_pixels_of_the_input(size: tuple[int, int], trained: tuple[int, int] | None):
    image = ramps(*size)
    predictions = Predictor(Mirror(), TASKS, image_size=trained).predict(image)
    # resizing flattens a ramp in the outermost pixel, half a pixel of the coarser grid at most
    border = 0.0 if trained is None else 1.0
    for channel, (name, side) in enumerate([("red", size[1]), ("green", size[0])]):
        error = (predictions[name][0] - image[channel]).abs()
        assert error.max() <= border / min(side, 96) + 1e-5
        if side > 40:
            cut = error[:, 3:-3] if name == "red" else error[3:-3]
            assert cut.max() < 0.1 / max(side, 96)  # a tenth of a pixel


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_predictions_have_the_form_of_a_label_of_the_input(size: tuple[int, int]):
    predictions = Predictor(Mirror(), TASKS, image_size=(96, 128)).predict(torch.rand(3, *size))
    for task in TASKS:
        assert predictions[task.name].shape == task.target_spec.shape(*size)
        assert predictions[task.name].dtype == task.target_spec.dtype
    assert torch.allclose(predictions["normals"].norm(dim=0), torch.ones(size), atol=1e-4)
    assert predictions["edges"].min() >= 0
    assert predictions["edges"].max() <= 1


def test_an_image_of_the_training_size_goes_through_unchanged():
    image, network = torch.rand(3, 96, 128), Mirror()
    predictions = Predictor(network, TASKS, image_size=(96, 128)).predict(image)
    assert network.seen == [(1, 3, 96, 128)]
    assert torch.equal(predictions["depth"][0], image.mean(0))
    assert torch.equal(predictions["segmentation"], (image.mean(0) > 0.5).long())


@pytest.mark.parametrize(
    ("size", "working"),
    [
        ((192, 256), (96, 128)),
        ((480, 480), (96, 96)),
        ((640, 480), (128, 96)),  # portrait
        ((48, 64), (96, 128)),  # smaller than trained
        ((100, 1000), (51, 512)),  # a panorama: 4 x 128 at most
        ((1, 1000), (1, 512)),
    ],
)
def test_the_shorter_side_becomes_that_of_the_training_size(size: tuple[int, int], working: tuple[int, int]):
    predictor = Predictor(Mirror(), TASKS, image_size=(96, 128))
    assert predictor.working_size(*size) == working
    assert predictor.raw(torch.rand(3, *size))["depth"].shape[-2:] == working


def test_raw_predictions_are_resized_before_decoding():
    """Two classes meet midway between the centers of their pixels, not in blocks of the coarse grid."""
    image = torch.zeros(3, 64, 64)
    image[:, :, 32:] = 1
    image[:, :, 30] = 0.6
    coarse = Predictor(Mirror(), TASKS, image_size=(32, 32))
    depth = coarse.predict(image)["depth"][0]
    assert torch.equal(coarse.predict(image)["segmentation"], (depth > 0.5).long())
    assert len(depth[0].unique()) > 4  # interpolated, not repeated


@pytest.mark.parametrize("before", [(1, 1), (1, 50), (50, 1), (7, 20), (60, 90)], ids=str)
@pytest.mark.parametrize("after", [(1, 1), (1, 30), (30, 1), (2, 5), (200, 100)], ids=str)
def test_resizing_is_a_separable_triangle_filter(before: tuple[int, int], after: tuple[int, int]):
    def weights(old: int, new: int) -> Tensor:
        step = old / new
        distance = (torch.arange(old) + 0.5)[None] - (torch.arange(new) + 0.5)[:, None] * step
        weight = (1 - distance.double().abs() / max(step, 1)).clamp(min=0)
        return weight / weight.sum(1, keepdim=True)

    x = torch.rand(1, 2, *before, generator=torch.Generator().manual_seed(0))
    expected = weights(before[0], after[0]) @ x.double() @ weights(before[1], after[1]).T
    torch.testing.assert_close(resized(x, after).double(), expected, atol=1e-5, rtol=0)


def test_the_network_keeps_its_mode_and_gets_no_gradient():
    network = Mirror().train()
    prediction = Predictor(network, TASKS, image_size=None).predict(torch.rand(3, 20, 20))["depth"]
    assert network.training
    assert not prediction.requires_grad


@pytest.mark.parametrize(
    "image", [torch.rand(1, 8, 8), torch.rand(8, 8), torch.rand(3, 0, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)]
)
def test_an_image_of_another_form_is_refused(image: Tensor):
    with pytest.raises(ValueError, match="image should be floating point of shape"):
        Predictor(Mirror(), TASKS, image_size=None).predict(image)


def test_a_network_without_the_task_is_named():
    with pytest.raises(ValueError, match=r"saliency: the network should predict shape \(1, 1, 32, 32\), not nothing"):
        Predictor(Mirror(), [Depth("saliency")], image_size=None).predict(torch.rand(3, 20, 20))


@pytest.mark.parametrize("name", ["../depth", "..", "a/b", "", "sheets"])
def test_a_task_whose_name_cannot_be_a_folder_is_refused(name: str):
    with pytest.raises(ValueError, match="should have a name that a folder can have"):
        Predictor(Mirror(), [Depth(name)], image_size=None)
