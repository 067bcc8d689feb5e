"""Networks can be recorded by torch.jit.trace and torch.export."""

from __future__ import annotations

import pytest
import torch

from mtpsl import Depth, Exportable, Segmentation
from mtpsl.networks import MTAN, NETWORKS, EncoderDecoder, MultiTaskNetwork, ResNetASPP, SegNet
from mtpsl.structures import Output

CHANNELS = {"segmentation": 3, "depth": 1}
MAKERS = {
    "segnet": lambda: SegNet(CHANNELS, width=0.125),
    "mtan": lambda: MTAN(CHANNELS, width=0.125),
    "encoder_decoder": lambda: EncoderDecoder(CHANNELS),
    "resnet_aspp": lambda: ResNetASPP(CHANNELS, head_channels=8),
}


def small(name: str) -> MultiTaskNetwork:
    torch.manual_seed(0)
    return MAKERS[name]().eval()


def test_every_network_is_among_them() -> None:
    assert MAKERS.keys() == NETWORKS.keys()


@pytest.mark.filterwarnings("ignore")  # of torch: tracing is deprecated, and sizes become constants
@pytest.mark.parametrize("name", MAKERS)
def test_a_traced_network_says_the_same_in_the_order_of_its_heads(name: str) -> None:
    network, images = small(name), torch.rand(1, 3, 40, 70)
    traced = torch.jit.trace(network, images)
    other = torch.rand(1, 3, 40, 70)
    with torch.no_grad():
        expected = network(other)
        assert isinstance(expected, Output)  # as before
        for found, name in zip(traced(other), CHANNELS, strict=True):
            torch.testing.assert_close(found, expected.predictions[name], atol=1e-5, rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["segnet", "encoder_decoder"])
def test_an_exported_network_says_the_same_for_any_number_of_images(name: str) -> None:
    network = small(name)
    tasks = [Segmentation(num_classes=3), Depth()]
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(Exportable(network, tasks), (torch.rand(2, 3, 32, 64),), dynamic_shapes=dynamic)
    images = torch.rand(3, 3, 32, 64)
    with torch.no_grad():
        raw, found = network(images).predictions, program.module()(images)
    assert [*found] == ["segmentation", "depth"]
    assert torch.equal(found["segmentation"], raw["segmentation"].argmax(1))
    torch.testing.assert_close(found["depth"], raw["depth"].clamp(min=0), atol=1e-5, rtol=1e-4)
    assert not [node for node in program.graph.nodes if "unpool" in str(node.target)]  # which ONNX does not know


def test_what_is_exported_is_raw_on_request() -> None:
    network, images = small("segnet"), torch.rand(1, 3, 32, 32)
    module = Exportable(network.train(), [Depth()], decode=False)
    assert not network.training
    with torch.no_grad():
        assert torch.equal(module(images)["depth"], network(images).predictions["depth"])
        assert [*module(images)] == ["depth"]
