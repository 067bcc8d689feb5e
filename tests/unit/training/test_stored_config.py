"""Configurations from files, and what a run writes of where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtpsl.errors import UserError
from mtpsl.training.config import parse_config, read_options
from mtpsl.training.data import open_split
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.run_folder import RunFolder
from mtpsl.training.settings import TrainingSettings


def test_a_choice_may_be_its_name_alone() -> None:
    config = parse_config([], {"network": "mtan", "objective": "supervised", "weighting": "dwa"})
    assert (config.network, config.objective, config.weighting) == ("mtan", "supervised", "dwa")


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("a: [1")
    with pytest.raises(UserError, match=r"run\.yaml: not a readable YAML file \(while parsing"):
        read_options(tmp_path / "run.yaml")


@pytest.mark.parametrize("written", ["32", "'32'"])
def test_a_precision_may_be_a_number_in_a_file(tmp_path: Path, written: str) -> None:
    (tmp_path / "run.yaml").write_text(f"training: {{precision: {written}}}")
    assert parse_config([], read_options(tmp_path / "run.yaml")).training.precision == "32"


@pytest.mark.parametrize("name", ["lr", "clip"])
def test_a_number_that_should_be_positive_is_named_with_its_value(name: str) -> None:
    with pytest.raises(ValueError, match=f"training.{name} should be positive, not -1"):
        TrainingSettings(**{name: -1.0})


def test_built_in_scenes_have_the_size_of_the_demo() -> None:
    scenes = open_split(DataSettings(name="scenes", scenes_train=1, scenes_val=1), "train", ["depth"])
    assert scenes[0].image.shape == (3, 96, 128)


def test_scores_hold_the_commit_that_the_run_was_trained_with(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "environment.json").write_text(json.dumps({"commit": "c0ffee"}))
    config = parse_config(["--data.name", "scenes"], {})
    folder.write_scores(config, [], {}, data="scenes", root=None, epoch=1, size=(96, 128))
    assert json.loads(folder.scores.read_text())["run"]["commit"] == "c0ffee"
