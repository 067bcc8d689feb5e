"""A run's network is built without looking for weights that its checkpoint will replace."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import tasks
from mtpsl.errors import UserError
from mtpsl.training.build import build_network
from mtpsl.training.config import parse_config


@pytest.mark.parametrize("network", ["resnet_aspp", "timm"])
def test_a_trained_network_needs_no_published_weights_any_more(tmp_path: Path, network: str) -> None:
    options = ["--network", network, "--network.encoder", "test_resnet"]
    config = parse_config([*options, "--network.weights", str(tmp_path / "gone.pth")], {})
    with pytest.raises(UserError, match="there is no file"):
        build_network(config, tasks())
    build_network(config, tasks(), pretrained=False)


def test_the_pyramids_options_come_from_the_command_line() -> None:
    options = ["--network", "resnet_aspp", "--network.encoder", "test_resnet", "--network.output_stride", "16"]
    config = parse_config([*options, "--network.rates", "[6,12,18]", "--network.head_channels", "8"], {})
    network = build_network(config, tasks())
    assert network.stride == 16
    branches = network.heads["depth"].branches
    assert [branch[0].dilation for branch in branches] == [(1, 1), (6, 6), (12, 12), (18, 18)]
