"""The paper's network for PASCAL-Context, and where an encoder's weights come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mtpsl.errors import UserError
from mtpsl.networks import EncoderDecoder, ResNetASPP
from mtpsl.networks.decoders.aspp import ASPPHead
from mtpsl.networks.encoders.timm import TimmEncoder

PASCAL = {"segmentation": 21, "human_parts": 7, "normals": 3, "saliency": 1, "edges": 1}


def test_the_last_stages_are_dilated_instead_of_strided() -> None:
    """As in the multi-task code for PASCAL: dilations 2 and 4, but a stage's first convolution keeps the one before."""
    encoder = ResNetASPP(PASCAL, head_channels=8).encoder
    found = {
        name: (layer.stride[0], layer.dilation[0])
        for name, layer in encoder.model.named_modules()
        if name.startswith(("layer2.0", "layer3", "layer4")) and name.endswith(("conv1", "conv2"))
    }
    assert found == {
        "layer2.0.conv1": (2, 1), "layer2.0.conv2": (1, 1),
        "layer3.0.conv1": (1, 1), "layer3.0.conv2": (1, 2), "layer3.1.conv1": (1, 2), "layer3.1.conv2": (1, 2),
        "layer4.0.conv1": (1, 2), "layer4.0.conv2": (1, 4), "layer4.1.conv1": (1, 4), "layer4.1.conv2": (1, 4),
    }  # fmt: skip
    assert (encoder.output_stride, encoder.out_channels[-1]) == (8, 512)


@pytest.mark.parametrize("out_channels", [1, 21])
def test_a_head_has_the_parameters_of_deeplabv3s(out_channels: int) -> None:
    branches = 512 * 256 + 3 * (9 * 512 * 256) + 512 * 256  # 1x1, three 3x3, image mean
    rest = 5 * 256 * 256 + 9 * 256 * 256 + 7 * 2 * 256  # join, 3x3, norms
    head = ASPPHead(512, out_channels)
    assert sum(p.numel() for p in head.parameters()) == branches + rest + 257 * out_channels


def test_a_head_sees_as_far_as_its_rates_say() -> None:
    torch.manual_seed(0)
    head = ASPPHead(2, 1, channels=8, rates=(3, 6, 9)).eval()
    nn.init.zeros_(head.pooled[0].weight)  # it sees everything
    x = torch.rand(1, 2, 41, 41, requires_grad=True)
    head(x)[0, 0, 20, 20].backward()
    seen = (x.grad[0] != 0).any(0).nonzero()
    assert seen.amin(0).tolist() == [20 - 9 - 1] * 2  # the widest branch and the 3x3 after the join
    assert seen.amax(0).tolist() == [20 + 9 + 1] * 2


def test_one_image_alone_is_trained() -> None:
    torch.manual_seed(0)
    network = ResNetASPP({"depth": 1}, head_channels=8).train()
    network(torch.rand(1, 3, 32, 32)).predictions["depth"].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    norm = network.heads["depth"].pooled[1]
    assert torch.equal(norm.running_mean, torch.zeros(8))
    network(torch.rand(2, 3, 32, 32))
    assert not torch.equal(norm.running_mean, torch.zeros(8))


@pytest.mark.parametrize("encoder", ["hrnet_w18_small", "vit_tiny_patch16_224"])
def test_an_encoder_that_cannot_keep_the_stride_is_refused(encoder: str) -> None:
    with pytest.raises(UserError, match=f"{encoder}.*output_stride 8"):
        ResNetASPP(PASCAL, encoder=encoder)


@pytest.fixture(scope="module")
def published() -> nn.Module:
    torch.manual_seed(7)
    return timm.create_model("test_resnet", pretrained=False)  # a ResNet with few channels


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_come_from_a_local_file(published: nn.Module, tmp_path: Path, suffix: str) -> None:
    file, state = tmp_path / f"weights{suffix}", published.state_dict()
    if suffix == ".pth":  # torchvision's oldest files do not count batches
        torch.save({key: x for key, x in state.items() if not key.endswith("num_batches_tracked")}, file)
    else:
        save_file(state, file)
    for network in (
        ResNetASPP(PASCAL, encoder="test_resnet", weights=str(file), head_channels=8),
        EncoderDecoder(PASCAL, encoder="test_resnet", weights=str(file), decoder_channels=8),
    ):
        mine = network.encoder.model.state_dict()
        assert mine
        assert all(torch.equal(x, state[key]) for key, x in mine.items())


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_files_that_are_not_its_weights_are_refused(published: nn.Module, tmp_path: Path) -> None:
    state = published.state_dict()
    stem = state["conv1.0.weight"]
    less = {key: x for key, x in state.items() if key != "layer4.0.conv2.weight"}
    contents: dict[str, tuple[Any, str]] = {
        "missing": (less, "it has no 'layer4.0.conv2.weight'"),
        "larger": ({**state, "layer1.2.conv1.weight": stem}, "it has 'layer1.2.conv1.weight' too many"),
        "shape": ({**state, "conv1.0.weight": stem[:, :1]}, r"conv1.0.weight should have shape \(\d+, 3, 3, 3\), not"),
        "other": ([1, 2], "should hold tensors by name"),
        "malicious": ({**state, "more": Malicious(tmp_path / "touched")}, "cannot be loaded safely"),
    }
    for name, (content, message) in contents.items():
        torch.save(content, tmp_path / f"{name}.pth")
        with pytest.raises(UserError, match=message):
            TimmEncoder("test_resnet", weights=str(tmp_path / f"{name}.pth"))
    assert not (tmp_path / "touched").exists()
    (tmp_path / "half.safetensors").write_bytes(b"\x08\x00\x00")
    for name, message in (("half.safetensors", "cannot be loaded safely"), ("none.pth", "there is no file")):
        with pytest.raises(UserError, match=message):
            TimmEncoder("test_resnet", weights=str(tmp_path / name))


@pytest.mark.parametrize(
    ("encoder", "mean"), [("resnet18", (0.485, 0.456, 0.406)), ("vit_tiny_patch16_224", (0.5, 0.5, 0.5))]
)
def test_images_are_normalized_as_the_encoders_weights_expect(encoder: str, mean: tuple[float, ...]) -> None:
    assert TimmEncoder(encoder).mean.flatten().tolist() == pytest.approx(mean)
