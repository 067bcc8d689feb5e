"""Every option of every network changes what it should, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from lines import Line, check, check_no_other

from builders import tasks
from mtpsl.networks import NETWORKS
from mtpsl.training.build import build_network
from mtpsl.training.config import option_names, parse_config

ENCODER = "test_resnet"
WIDER = {"shapes", "features", "predictions", "trained predictions"}
LINES = {
    "width": Line("0.25", WIDER),
    "encoder": Line("test_efficientnet", WIDER, default=ENCODER),
    "weights": Line("WEIGHTS", {"features", "predictions", "trained predictions"}),
    "decoder": Line("unet", WIDER - {"features"}),
    "decoder_channels": Line("8", WIDER - {"features"}),
    "decoder_per_task": Line("true", WIDER - {"features"}),
    "output_stride": Line("16", {"features", "stride", "predictions", "trained predictions"}),
    "head_channels": Line("16", WIDER - {"features"}),
    "rates": Line("[1,2,3]", {"predictions", "trained predictions"}),
    "dropout": Line("0", {"trained predictions"}),
}
"""Observations are those of `observe_network`; `network.option` goes before `option`."""
SMALL = {"width": "0.125", "encoder": ENCODER, "head_channels": "8", "decoder_channels": "16"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    file = tmp_path_factory.mktemp("weights") / "encoder.pth"
    torch.save(timm.create_model(ENCODER).state_dict(), file)
    return file


def observe_network(name: str, words: Sequence[str], weights: Path) -> dict[str, Any]:
    """What a network predicts for one picture."""
    given = {word.removeprefix("--network.") for word in words}
    words = [str(weights) if word == "WEIGHTS" else word for word in words]
    for option in option_names(NETWORKS[name], "network"):
        if option in SMALL and option not in given:
            words += [f"--network.{option}", SMALL[option]]
    torch.manual_seed(0)
    network = build_network(parse_config(["--network", name, *words], {}), tasks())
    torch.manual_seed(1)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        output = network.eval()(images)
        trained = network.train()(images).predictions
    return {
        "shapes": [tuple(p.shape) for p in network.parameters()],
        "stride": network.stride,
        "features": output.features,
        "predictions": output.predictions,
        "trained predictions": trained,
    }


def options() -> list[tuple[str, str]]:
    return [(name, option) for name in NETWORKS for option in option_names(NETWORKS[name], "network")]


@pytest.mark.parametrize(("name", "option"), options())
def test_a_networks_option_changes_what_it_should(name: str, option: str, weights: Path) -> None:
    line = LINES.get(f"{name}.{option}", LINES.get(option))
    table = "LINES in tests/options/test_network_options.py"
    check(f"network.{option}", line, lambda words: observe_network(name, words, weights), table)


def test_every_line_is_of_a_networks_option() -> None:
    known = {name for pair in options() for name in (pair[1], ".".join(pair))}
    check_no_other(LINES, known, "tests/options/test_network_options.py")
