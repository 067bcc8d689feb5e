"""What `mtpsl train` takes without a recipe: the recipe for own data, as far as it fits what is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtpsl.cli import main
from mtpsl.commands.recipes import find_recipe
from mtpsl.training.config import RunConfig, parse_config, read_options
from mtpsl.training.without_recipe import without_recipe


def configured(*words: str) -> tuple[RunConfig, str | None]:
    stored, note = without_recipe(read_options(find_recipe("own_data")), words)
    return parse_config(words, stored), note


def test_without_options_it_is_the_recipe_for_own_data() -> None:
    config, note = configured("--data.root", "DATA")
    assert note is None
    assert config == parse_config(["--data.root", "DATA"], read_options(find_recipe("own_data")))
    assert (config.network, config.objective) == ("encoder_decoder", "supervised")
    assert config.network_options["weights"] == "package"
    assert (config.training.epochs, config.training.batch_size) == ("auto", "auto")


@pytest.mark.parametrize("words", ["--network NAME", "--network=NAME", "--network.name NAME", "--network.name=NAME"])
@pytest.mark.parametrize("network", ["segnet", "mtan", "resnet_aspp"])
def test_nothing_of_the_recipes_network_reaches_another(network: str, words: str) -> None:
    config, note = configured(*words.replace("NAME", network).split())
    assert note is None
    assert (config.network, config.network_options) == (
        network,
        parse_config(["--network", network], {}).network_options,
    )
    assert (config.training.optimizer, config.training.encoder_lr_factor) == ("adamw", 1.0)


def test_the_same_network_keeps_what_is_not_given_anew() -> None:
    config, note = configured("--network", "timm", "--network.decoder", "unet")
    assert note is None
    assert (config.network, config.network_options["decoder"]) == ("encoder_decoder", "unet")
    assert (config.network_options["encoder"], config.training.encoder_lr_factor) == ("tf_efficientnet_lite0", 0.3)


def test_an_option_of_the_old_network_alone_implies_it() -> None:
    config, note = configured("--network.width", "0.125", "--objective", "cross_task")
    assert (config.network, config.network_options, config.objective) == ("segnet", {"width": 0.125}, "cross_task")
    assert note == (
        "network segnet: --network.width is an option of it, not of encoder_decoder (name it: --network segnet)"
    )


def test_a_frozen_encoder_needs_no_other_option() -> None:
    training = configured("--training.freeze_encoder", "true")[0].training
    assert (training.freeze_encoder, training.encoder_lr_factor) == (True, 1.0)
    assert configured("--training.freeze_encoder=false")[0].training.encoder_lr_factor == 0.3


def test_options_of_two_networks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--network.width", "0.1", "--network.decoder", "fpn", "--out", str(tmp_path / "run")]
    assert main(["train", *words]) == 2
    assert "--network.width is an option of --network segnet or mtan, not of encoder_decoder" in capsys.readouterr().err


def test_a_file_is_all_that_a_run_starts_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("{training: {epochs: 7}}")
    for words in ([str(tmp_path / "mine.yaml")], ["--config", str(tmp_path / "mine.yaml")]):
        with pytest.raises(SystemExit):
            main(["train", *words, "--print_config"])
        printed = capsys.readouterr().out
        assert "name: segnet" in printed
        assert "name: cross_task" in printed
        assert "optimizer: adam\n" in printed
