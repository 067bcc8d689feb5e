"""Options of the command line: what is said of one that does not exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtpsl.cli import main
from mtpsl.errors import UserError
from mtpsl.training.config import overlaid, parse_config, read_options

UNKNOWN: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "two letters exchanged": (["--objective.wieght", "2"], {}, "did you mean --objective.term.weight?"),
    "without its inner group": (["--objective.ramp", "1"], {}, "did you mean --objective.term.ramp?"),
    "with _ for .": ([], {"objective": {"mapping_width": 1}}, "did you mean --objective.mapping.width?"),
    "in an inner group": ([], {"objective": {"mapping": {"with": 1}}}, "did you mean --objective.mapping.width?"),
    "in an inner group that has fewer": (
        ["--objective", "jtr", "--objective.mapping.film_lr", "1"],
        {},
        "film_lr is an option of --objective contrastive or discriminator or cross_task, not of jtr",
    ),
    "without its group": (["--batch_size", "2"], {}, "did you mean --training.batch_size?"),
    "with =": (["--training.epoch=2"], {}, "did you mean --training.epochs?"),
    "a group's short name": (["--netwrok", "timm"], {}, "did you mean --network?"),
    "in a file": ([], {"training": {"epoch": 2}}, "did you mean --training.epochs?"),
    "a group in a file": ([], {"trainin": {"epochs": 2}}, "did you mean --training.epochs?"),
    "nothing like it": (["--zebra"], {}, "--zebra is unknown (`mtpsl train --help` lists all)"),
    "another objective's": (
        ["--objective", "supervised", "--objective.flip_view", "true"],
        {},
        "--objective.flip_view is an option of --objective cross_task, not of supervised",
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
    ("arguments", "message"),
    [
        (["--training.rescale_draw", "uniform"], "training.rescale_draw uniform belongs to training.rescale"),
        (["--training.border", "zero"], "training.border zero belongs to training.rotation or training.rescale"),
        (["--data.score_size", "own"], "data.score_size own belongs to a data.size"),
    ],
)
def test_an_option_without_what_it_acts_on_is_refused(arguments: list[str], message: str):
    with pytest.raises(UserError, match=message):
        parse_config(arguments, {})


@pytest.mark.parametrize(
    ("arguments", "stored"), [(["--objective.mapping", "resnet18"], {}), ([], {"objective": {"mapping": None}})]
)
def test_a_value_in_place_of_a_group_is_refused(arguments: list[str], stored: dict[str, Any]):
    with pytest.raises(UserError, match=r"--objective\.mapping holds options"):
        parse_config(["--objective", "cross_task", *arguments], stored)


def test_a_second_file_sets_options_in_a_group_one_by_one():
    first = {"objective": {"name": "cross_task", "mapping": {"lr": 0.1, "stride": 2}, "term": {"weight": 3.0}}}
    mapping = parse_config([], overlaid(first, {"objective": {"mapping": {"lr": 0.2}}})).objective_options["mapping"]
    assert (mapping["lr"], mapping["stride"]) == (0.2, 2)
    kept = parse_config(["--objective", "jtr"], first).objective_options  # which has no mapping.stride
    assert (kept["mapping"], kept["term"]) == ({"lr": 0.1, "width": 1.0}, {"weight": 3.0, "ramp": 0.0})


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


def test_a_second_file_chooses_by_name_over_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "one.yaml").write_text("{network: {name: segnet, width: 0.5}, objective: cross_task, label: mine}")
    (tmp_path / "two.yaml").write_text("{network: mtan, objective: {name: supervised}, training: {epochs: 7}}")
    files = [str(tmp_path / "one.yaml"), "--config", str(tmp_path / "two.yaml")]
    for words in (files, ["--config", *files]):
        assert main(["train", *words, "--network.encoder", "resnet18"]) == 2
        assert "not of mtan" in capsys.readouterr().err
        assert main(["train", *words, "--objective.views", "2"]) == 2
        assert "not of supervised" in capsys.readouterr().err
    config = parse_config([], overlaid(*(read_options(tmp_path / f"{name}.yaml") for name in ("one", "two"))))
    assert (config.network, config.network_options["width"]) == ("mtan", 0.5)
    assert (config.objective, config.label, config.training.epochs) == ("supervised", "mine", 7)


def test_options_of_a_choice_that_the_second_file_drops_go_with_it():
    first = {"objective": {"name": "cross_task", "views": 2, "losses": {"task_weights": {"depth": 2.0}}}}
    assert overlaid(first, {"objective": "supervised"}) == {
        "objective": {"name": "supervised", "losses": {"task_weights": {"depth": 2.0}}}
    }
    assert overlaid(first, {"objective": {"views": 1}})["objective"]["name"] == "cross_task"
    assert overlaid(first, {"objective": None}) == first


def test_a_sweep_takes_its_files_from_its_table(capsys: pytest.CaptureFixture[str]):
    assert main(["sweep", "demo", "--config", "demo", "--dry-run"]) == 2
    assert "--config is for `mtpsl train`: write the file's options under `options`" in capsys.readouterr().err


def test_a_run_of_one_task_takes_its_own_weights_from_those_of_all():
    words = ["--objective", "stl", "--objective.losses.task_weights", "{depth: 2}"]
    config = parse_config([*words, "--weighting", "fixed", "--weighting.weights", "{depth: 3}"], {})
    tasks = ["segmentation", "depth"]
    segmentation, depth = (config.single(task, tasks) for task in tasks)
    assert (segmentation.tasks, depth.tasks) == (["segmentation"], ["depth"])
    assert segmentation.objective_options["losses"]["task_weights"] is segmentation.weighting_options["weights"] is None
    assert (depth.objective_options["losses"]["task_weights"], depth.weighting_options["weights"]) == (
        {"depth": 2},
        {"depth": 3},
    )
    with pytest.raises(UserError, match="task_weights names depth; the tasks are segmentation, normals"):
        config.single("segmentation", ["segmentation", "normals"])
