"""Published weights: from the cache without asking, or one prompt line that says the cure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import save_file
from torch import nn

from mtpsl.errors import UserError
from mtpsl.networks import NETWORKS
from mtpsl.networks.encoders import TimmEncoder


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, float]]:
    """An empty cache, and no way to the hub; what was asked for, and how long an answer was waited for."""
    asked: list[tuple[str, float]] = []

    def metadata(url: str, *, timeout: float) -> None:
        asked.append((url, timeout))
        raise OSError("no route to host\nmore")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
    return asked


@pytest.mark.parametrize("network", ["encoder_decoder", "resnet_aspp"])
def test_without_a_connection_one_prompt_line_names_the_cures(network: str, asked: list[tuple[str, float]]) -> None:
    with pytest.raises(UserError, match=r"cannot be had \(no route to host\).*--network.weights FILE") as caught:
        NETWORKS[network]({"depth": 1}, encoder="resnet18", weights="hub")
    assert "\n" not in str(caught.value)
    ((url, timeout),) = asked  # once: the client itself would try again and again
    assert url.endswith("timm/resnet18.a1_in1k/resolve/main/model.safetensors")
    assert timeout <= 10


def test_weights_in_the_cache_are_taken_without_asking(
    tmp_path: Path, asked: list[tuple[str, float]], capfd: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(3)
    whole = timm.create_model("test_resnet")
    stored = tmp_path / "cache" / "models--timm--test_resnet.r160_in1k"
    (stored / "refs").mkdir(parents=True)
    (stored / "refs" / "main").write_text("abc")
    (stored / "snapshots" / "abc").mkdir(parents=True)
    save_file(whole.state_dict(), stored / "snapshots" / "abc" / "model.safetensors")
    encoder = TimmEncoder("test_resnet", weights="hub")
    assert asked == []
    mine = encoder.model.state_dict()
    assert mine
    assert all(torch.equal(x, whole.state_dict()[name]) for name, x in mine.items())
    assert "Unexpected keys" not in capfd.readouterr().err  # of the classifier


def test_weights_that_nobody_has_published_are_not_random_ones() -> None:
    with pytest.raises(UserError, match=r"'resnet200' has no published weights: .* --network.weights none"):
        TimmEncoder("resnet200", weights="hub")


def test_a_hub_that_answers_is_left_to_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    create, made = timm.create_model, []

    def online(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
        made.append(pretrained)
        return create(name, **options)

    def absent(url: str, *, timeout: float) -> None:
        raise EntryNotFoundError("only pytorch_model.bin")

    monkeypatch.setattr(timm, "create_model", online)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", absent)
    TimmEncoder("test_resnet", weights="hub")
    assert made[-1]
