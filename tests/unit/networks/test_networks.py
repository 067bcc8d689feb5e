"""Networks keep the contract of `MultiTaskNetwork`."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn

from builders import LABELS, batch, leaf_names, make_objective, tasks
from mtpsl.errors import UserError
from mtpsl.networks import MTAN, NETWORKS, EncoderDecoder, MultiTaskNetwork, ResNetASPP, SegNet
from mtpsl.networks.encoders.timm import TimmEncoder
from mtpsl.objectives import OBJECTIVES, CrossTaskConsistency

CHANNELS = {"segmentation": 5, "depth": 1, "normals": 3}
SMALL = {
    "segnet": {"width": 0.125},
    "mtan": {"width": 0.125},
    "encoder_decoder": {"encoder": "resnet18", "decoder_channels": 16},
    "resnet_aspp": {"head_channels": 16},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_have_the_images_size_and_the_features_the_stated_form(name: str) -> None:
    network: MultiTaskNetwork = NETWORKS[name](CHANNELS, **SMALL[name])
    output = network(torch.rand(2, 3, 64, 96))
    assert {task: tuple(x.shape) for task, x in output.predictions.items()} == {
        task: (2, count, 64, 96) for task, count in CHANNELS.items()
    }
    assert output.features[-1].shape == (2, network.feature_channels, 64 // network.stride, 96 // network.stride)
    sizes = [feature.shape[-1] for feature in output.features]
    assert sizes == sorted(sizes, reverse=True)
    said = [(channels, 64 // factor, 96 // factor) for factor, channels in network.feature_levels]
    assert [tuple(feature.shape[1:]) for feature in output.features] == said


@pytest.mark.parametrize("size", [(61, 97), (5, 64)])
@pytest.mark.parametrize("name", NETWORKS)
def test_images_of_any_size_are_predicted_as_with_their_border_repeated(name: str, size: tuple[int, int]) -> None:
    network = NETWORKS[name](CHANNELS, **SMALL[name]).eval()
    images = torch.rand(2, 3, *size)
    rows, columns = (torch.arange(-(-side // network.stride) * network.stride).clamp(max=side - 1) for side in size)
    larger = network(images[:, :, rows][..., columns])
    output = network(images)
    for task, prediction in output.predictions.items():
        assert torch.equal(prediction, larger.predictions[task][..., : size[0], : size[1]])
    assert torch.equal(output.features[-1], larger.features[-1])


@pytest.mark.parametrize("name", NETWORKS)
def test_bf16_predictions_come_back_in_float32(name: str) -> None:
    network = NETWORKS[name](CHANNELS, **SMALL[name])
    with torch.autocast("cpu", torch.bfloat16):
        output = network(torch.rand(2, 3, 64, 64))
    assert all(x.dtype == torch.float32 for x in output.predictions.values())


def test_channels_last_gives_the_same_numbers() -> None:
    torch.manual_seed(0)
    network = SegNet(CHANNELS, width=0.125).eval()
    images = torch.rand(2, 3, 64, 64)
    plain = network(images).predictions["depth"]
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(
        network(images.contiguous(memory_format=torch.channels_last)).predictions["depth"], plain
    )


ENCODERS = {"mobilenetv3_small_050": 32, "hrnet_w18_small": 32, "vit_tiny_patch16_224": 16}
"""Encoders of timm with the stride of their last map."""


@pytest.mark.parametrize("encoder", [*ENCODERS, "swin_tiny_patch4_window7_224"])
def test_any_timm_encoder_takes_images_of_any_size(encoder: str) -> None:
    network = EncoderDecoder({"depth": 1}, encoder=encoder, decoder_channels=8)
    assert network.stride == ENCODERS.get(encoder, 32)
    for size in ((64, 96), (96, 32)):
        output = network(torch.rand(2, 3, *size))
        assert output.predictions["depth"].shape == (2, 1, *size)
        shapes = [tuple(x.shape) for x in output.features]
        assert shapes[-1] == (2, network.feature_channels, *(side // network.stride for side in size))
        assert [shape[1] for shape in shapes] == network.encoder.out_channels


def test_a_vision_transformer_is_decoded_at_a_quarter_of_the_image() -> None:
    network = EncoderDecoder({"depth": 1}, encoder="vit_tiny_patch16_224", decoder_channels=8)
    features = network.encoder(torch.rand(2, 3, 64, 96))
    assert [tuple(x.shape[-2:]) for x in features] == [(4, 6)] * 4
    images = torch.rand(2, 3, 64, 96)
    assert network.decoders["shared"](images, features).shape == (2, 8, 16, 24)


@pytest.mark.parametrize("mapping", ["segnet", "resnet18"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_any_timm_encoder_works_with_cross_task(encoder: str, mapping: str) -> None:
    torch.manual_seed(0)
    network = EncoderDecoder(CHANNELS, encoder=encoder, decoder_channels=8)
    objective = make_objective(CrossTaskConsistency, tasks(), network, views=1, network=mapping, width=0.125)
    losses = objective(network, batch(LABELS["one label each"], size=(64, 64)))
    losses.total().backward()
    assert torch.isfinite(losses.total())
    assert objective.mapping.inputs[0].conv.weight.grad.any()


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in ("stl", "cross_task")])
@pytest.mark.parametrize("encoder", ["test_vit", "resnet_aspp"])
def test_every_objective_works_with_encoders_of_all_kinds(encoder: str, name: str) -> None:
    torch.manual_seed(0)
    network: MultiTaskNetwork = (
        ResNetASPP(CHANNELS, encoder="test_resnet", head_channels=8)
        if encoder == "resnet_aspp"
        else EncoderDecoder(CHANNELS, encoder=encoder, decoder_channels=8)
    )
    small = {"width": 0.01} if "width" in leaf_names(OBJECTIVES[name]) else {}
    objective = make_objective(OBJECTIVES[name], tasks(), network, **small)
    objective.set_progress(0.0)
    losses = objective(network, batch(LABELS["one label each"], size=(32, 32)))
    losses.total().backward()
    assert torch.isfinite(losses.total())
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("resnet19", "'resnet19' is not a timm model"),
        ("resnet19.tv_in1k", "'resnet19.tv_in1k' is not a timm model"),
        ("resnet18.tv_in2k", "'resnet18.tv_in2k' is none of the weights that timm has of resnet18: .*resnet18.tv_in1k"),
        ("resnet18.", "none of the weights"),
        ("test_resnet2", "not a timm model"),
    ],
)
def test_an_unknown_encoder_is_refused(encoder: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        EncoderDecoder(CHANNELS, encoder=encoder)


def test_a_tag_chooses_the_weights_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    create, asked = timm.create_model, []

    def offline(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
        if pretrained:
            asked.append(timm.get_pretrained_cfg(name).url)
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr("mtpsl.networks.encoders.hub.ask", lambda *file: None)
    for network in (EncoderDecoder, ResNetASPP):
        tagged = network(CHANNELS, encoder="resnet18.tv_in1k", weights="hub")
        plain = network(CHANNELS, encoder="resnet18")
        assert [*tagged.state_dict()] == [*plain.state_dict()]
    assert asked == ["https://download.pytorch.org/models/resnet18-f37072fd.pth"] * 2  # torchvision's first weights


def test_images_are_normalized_as_the_tagged_weights_expect() -> None:
    means = [
        TimmEncoder(f"vit_small_patch16_224{tag}").mean.flatten().tolist() for tag in ("", ".augreg_in21k", ".dino")
    ]
    assert means[:2] == [pytest.approx([0.5] * 3)] * 2
    assert means[2] == pytest.approx([0.485, 0.456, 0.406])


def test_mtan_is_as_large_as_published() -> None:
    """1.77 times the 24,981,069 parameters of a SegNet for one task of 13 classes."""
    network = MTAN({"segmentation": 13, "depth": 1, "normals": 3})
    assert sum(p.numel() for p in network.parameters()) / 24_981_069 == pytest.approx(1.77, abs=0.005)


def test_a_mask_of_one_task_leaves_the_other_predictions_alone() -> None:
    torch.manual_seed(0)
    network = MTAN(CHANNELS, width=0.125).eval()
    images = torch.rand(1, 3, 32, 64)
    before = network(images).predictions
    for parameter in network.heads["depth"].parameters():
        torch.nn.init.normal_(parameter)
    after = network(images).predictions
    assert not torch.equal(before["depth"], after["depth"])
    assert torch.equal(before["normals"], after["normals"])
