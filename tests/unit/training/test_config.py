"""Options of the command line: what is said of one that does not exist."""

from __future__ import annotations

from typing import Any

import pytest

from mtpsl.cli import main
from mtpsl.errors import UserError
from mtpsl.training.config import parse_config

UNKNOWN: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "two letters exchanged": (["--objective.wieght", "2"], {}, "did you mean --objective.weight?"),
    "without its group": (["--batch_size", "2"], {}, "did you mean --training.batch_size?"),
    "with =": (["--training.epoch=2"], {}, "did you mean --training.epochs?"),
    "a group's short name": (["--netwrok", "timm"], {}, "did you mean --network?"),
    "in a file": ([], {"training": {"epoch": 2}}, "did you mean --training.epochs?"),
    "a group in a file": ([], {"trainin": {"epochs": 2}}, "did you mean --training.epochs?"),
    "nothing like it": (["--zebra"], {}, "--zebra is unknown (`mtpsl train --help` lists all)"),
    "another objective's": (
        ["--objective", "supervised", "--objective.views", "2"],
        {},
        "--objective.views is an option of --objective cross_task, not of supervised",
    ),
    "two others'": (
        ["--network.encoder", "resnet18"],
        {},
        "option of --network encoder_decoder or resnet_aspp, not of segnet",
    ),
    "what the program supplies": (["--objective.network", "x"], {}, "--objective.network is unknown"),
}


@pytest.mark.parametrize(("arguments", "stored", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_option_is_answered_with_the_one_that_was_meant(
    arguments: list[str], stored: dict[str, Any], message: str
):
    with pytest.raises(UserError) as error:
        parse_config(arguments, stored)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["train", "demo", "--output", "run"], "--out"),
        (["predict", "run", "picture.png", "--overwrit"], "--overwrite"),
        (["check", "data", "--task", "depth"], "--tasks"),
    ],
)
def test_commands_suggest_their_own_options(words: list[str], meant: str, capsys: pytest.CaptureFixture[str]):
    assert main(words) == 2
    assert f"did you mean {meant}? (`mtpsl {words[0]} --help`" in capsys.readouterr().err
