"""Recording, converting and comparing networks that are to be exported."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from mtpsl import Depth, Edges, Normals, Segmentation
from mtpsl.errors import UserError
from mtpsl.inference.explanation import explain_task
from mtpsl.inference.export import Difference, differences, refused
from mtpsl.inference.export.onnx_file import to_onnx
from mtpsl.inference.export.recording import Recorded, record
from mtpsl.networks.encoders.timm import FixedPadding, TimmEncoder
from mtpsl.tasks import MultiLabel, Regression


class Strange(nn.Module):
    """A layer with a function that ONNX does not have."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


class Whole(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"depth": self.inner(images)}


class Only(nn.Module):
    """Takes images of some sizes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "fixed size":
            return x + torch.ones(x.shape[-2], int(x.shape[-1]) // 16 * 16).cumsum(0) if x.shape[-1] == 48 else 2 * x
        if self.kind == "one image":
            assert x.shape[0] == 1
        return x


def image(count: int, height: int, width: int) -> Tensor:
    return torch.rand(count, 3, height, width)


@pytest.mark.parametrize("kind", ["any size", "fixed size", "one image"])
def test_a_network_keeps_as_much_freedom_as_it_has(kind: str) -> None:
    made, _ = record(Whole(Only(kind)), image, (32, 48), 16, axes=(2, 3), fixed=False, convert=lambda _: None)
    assert made.freedom == kind
    assert made.size[0] == 32


def test_a_program_that_cannot_be_converted_gets_less_freedom() -> None:
    def convert(made: object) -> str:
        if getattr(made, "any_size"):  # noqa: B009
            raise ValueError("not so free")
        return "done"

    made, result = record(Whole(nn.Identity()), image, (32, 48), 16, axes=(2, 3), fixed=False, convert=convert)
    assert (made.freedom, result) == ("fixed size", "done")


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (5, 2, 1), (3, 1, 2), (1, 2, 1), ((3, 5), 2, 1)])
def test_fixed_paddings_are_those_that_sizes_give(kernel: int | tuple[int, int], stride: int, dilation: int) -> None:
    layer = Conv2dSame(3, 4, kernel, stride=stride, dilation=dilation)
    images = torch.rand(2, 3, 8, 12)
    assert torch.equal(FixedPadding(layer)(images), layer(images))


def test_the_encoder_of_the_default_network_computes_no_padding_when_it_is_recorded() -> None:
    encoder = TimmEncoder("tf_efficientnet_lite0").eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        before = encoder(images)
        encoder.fix_padding()
        assert all(torch.equal(a, b) for a, b in zip(encoder(images), before, strict=True))
    assert not [part for part in encoder.modules() if type(part) is Conv2dSame and not kept(encoder, part)]


def kept(encoder: nn.Module, layer: nn.Module) -> bool:
    """Whether a convolution is inside one whose paddings are numbers."""
    return any(part.convolution is layer for part in encoder.modules() if isinstance(part, FixedPadding))


def test_an_operator_that_onnx_lacks_is_named_with_its_layer() -> None:
    def convert(made: Recorded) -> object:
        return to_onnx(made, "images", ["depth"])

    with pytest.raises(
        UserError, match=r"ONNX has no operator for prims.bessel_j0, which layer inner \(Strange\) uses: write .pt2"
    ):
        record(Whole(Strange()), image, (32, 48), 16, axes=(2, 3), fixed=True, convert=convert)


def test_differences_are_the_worst_of_all_images() -> None:
    tasks = [Segmentation(num_classes=3), Depth(unit="cm")]
    classes, depth = np.zeros((1, 4, 5), np.uint8), np.full((1, 4, 5), 8.0, np.float32)
    other = classes.copy()
    other[0, 1, 2] = 2
    near = depth.copy()
    near[0, 0, 0] = -2
    pairs = [
        ({"segmentation": classes, "depth": depth}, {"segmentation": other, "depth": depth}),
        ({"segmentation": classes, "depth": near}, {"segmentation": classes, "depth": depth}),
    ]
    found = differences(tasks, pairs)
    assert found == [Difference("segmentation", 1, 40, "pixels"), Difference("depth", 10, 8, "cm")]
    assert [one.share for one in found] == [1 / 40, 10 / 8]
    assert [*map(str, found)] == [
        "segmentation: 1 of 40 pixels in another class",
        "depth: 10 cm (values up to 8 cm)",
    ]
    refused(found, 10 / 8, "it")
    with pytest.raises(UserError, match="it says something else than the network: depth: 10 cm"):
        refused(found, 1.2, "it")


def test_not_a_number_is_never_accepted() -> None:
    depth = np.ones((1, 2, 2), np.float32)
    broken = depth.copy()
    broken[0, 0, 0] = np.nan
    found = differences([Depth()], [({"depth": broken}, {"depth": depth})])
    assert found[0].worst == math.inf
    with pytest.raises(UserError, match="depth: inf m"):
        refused(found, 1e9, "it")
    with pytest.raises(ValueError, match=r"shape \(1, 2, 2\) should be \(2, 2\)"):
        differences([Depth()], [({"depth": depth}, {"depth": depth[0]})])


@pytest.mark.parametrize(
    ("task", "meaning"),
    [
        (Segmentation(num_classes=2), "the number of the class"),
        (Depth(inverse=True), "inverse depth in 1/m"),
        (Normals(y_axis="down"), "unit vector in the camera's frame: x to the right, y down"),
        (Edges(), "probability"),
        (MultiLabel(class_names=["a"]), "probability"),
        (Regression(unit="K"), "in K"),
        (Regression(), "as labels have it"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_file_says_what_the_numbers_of_a_task_mean(task: object, meaning: str) -> None:
    assert explain_task(task, decoded=True)["meaning"] == meaning  # type: ignore[arg-type]
