"""What `--help` teaches: every command, every option, and what it is for."""

from __future__ import annotations

import re

import pytest

from mtpsl.cli import COMMANDS, main
from mtpsl.networks import NETWORKS
from mtpsl.objectives import OBJECTIVES
from mtpsl.training.config import CHOICES, option_names
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.settings import TrainingSettings, names
from mtpsl.weighting import WEIGHTINGS

BY_THEMSELVES = {"--help", "--print_config", "--print_config[", "--config", "--print_shtab"}
"""What the parser explains itself."""


def help_of(words: list[str], capsys: pytest.CaptureFixture[str], option: str = "--help") -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*words, option])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def explained(text: str) -> dict[str, str]:
    """The options that stand at the beginning of a line, and what is said of each, without its type and default."""
    found = {}
    for entry in re.split(r"\n(?=  +(?:-\w, )?--)", text)[1:]:
        option = re.search(r"--[\w.]+", entry)
        assert option is not None
        said = re.sub(r"\((?:type|required|default)[^()]*(?:\([^()]*\)[^()]*)*\)", "", entry.split("\n\n")[0])
        words = re.findall(r"[a-z]{2,}", said.replace(option[0], "", 1))
        found[option[0]] = " ".join(words)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_how_it_is_used_and_what_each_option_is_for(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of([command], capsys)
    assert f"usage: mtpsl {command}" in text
    for option, said in explained(text).items():
        assert option in BY_THEMSELVES or len(said.split()) > 1, f"{option} is not explained: {said!r}"


def test_all_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = set(re.findall(r"^  mtpsl ([\w-]+)", capsys.readouterr().out, re.MULTILINE))
    assert listed == set(COMMANDS)


def test_help_of_train_explains_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    said = explained(help_of(["train"], capsys, "--help-all"))
    for group, settings in {"data": DataSettings, "training": TrainingSettings}.items():
        for name in names(settings):
            assert len(said.get(f"--{group}.{name}", "").split()) > 1, f"--{group}.{name}"
    for option in ("--out", "--resume", "--quiet"):
        assert option in said


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (group, name)
        for group, registry in zip(CHOICES, (NETWORKS, OBJECTIVES, WEIGHTINGS), strict=True)
        for name in registry
    ],
)
def test_help_of_train_explains_every_option_of_a_choice(
    group: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = explained(help_of(["train", f"--{group}", name], capsys))
    for option in option_names(CHOICES[group][0][name], group):
        assert len(said.get(f"--{group}.{option}", "").split()) > 1, f"--{group}.{option}"


@pytest.mark.parametrize("network", ["segnet", "encoder_decoder"])
def test_help_of_train_begins_with_what_people_use_and_names_everything(
    network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--network.name", network, "--help"])
    text = capsys.readouterr().out
    assert text.count("\n") < 100, "more than two screens"
    assert max(map(len, text.splitlines())) <= 120
    most, _, rest = text.partition("most used:")[2].partition("others")
    for option in ("data.root", "objective", "training.epochs", *(["network.encoder"] if "encoder" in network else [])):
        assert f"--{option} " in most
    for group, settings in {"data": DataSettings, "training": TrainingSettings}.items():
        listed = rest.partition(f"\n  {group}. ")[2].partition(". ")[0]
        for name in names(settings):
            assert f"--{group}.{name} " in most or re.search(rf"\b{name}\b", listed), f"{group}.{name}"
