"""`~` is the home folder in every option and in every YAML file, also where no shell has put it in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from folder_sets import write_folder_set
from mtpsl import cli
from mtpsl.data import MergedDataset
from mtpsl.data.layouts.merged_description import read_merged
from mtpsl.sweep.table import read_table
from mtpsl.training.config import PATHS, parse_config
from mtpsl.training.from_here import from_here


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_it_is_in_the_words_of_every_command(command: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Sequence[str]] = []
    monkeypatch.setitem(cli.COMMANDS, command, seen.append)
    others = ["--label=d ~/e", "--label", "~other", "f/~/g"]
    words = ["~/a b", "--out=~/c", "--data.root", "~", *others]
    assert cli.main([command, *words]) == 0
    assert [*seen[0]] == [f"{home}/a b", f"--out={home}/c", "--data.root", str(home), *others]


@pytest.mark.parametrize(("group", "name"), PATHS)
def test_it_is_in_a_recipe(group: str, name: str, home: Path) -> None:
    needed = {"labels": {"regime": "file"}}.get(name, {})
    chosen = {"name": "timm"} if group == "network" else {}
    config = from_here(parse_config([], {group: {**chosen, **needed, name: "~/x/y.pth"}}))
    groups = {"data": vars(config.data), "training": vars(config.training), "network": config.network_options}
    assert groups[group][name] == f"{home}/x/y.pth"


def test_it_is_in_merged_sets_and_tables(home: Path, tmp_path: Path) -> None:
    write_folder_set(home / "rooms")
    (home / "rooms/dataset.yaml").rename(home / "mine.yaml")
    entry = {"root": "~/rooms", "description": "~/mine.yaml", "label_cache": "~/cache"}
    (tmp_path / "merged.yaml").write_text(yaml.safe_dump({"size": [8, 12], "sources": {"rooms": entry}}))
    assert read_merged(tmp_path).sources["rooms"].options["label_cache"] == f"{home}/cache"
    del entry["label_cache"]  # no option of a folder
    (tmp_path / "merged.yaml").write_text(yaml.safe_dump({"size": [8, 12], "sources": {"rooms": entry}}))
    assert len(MergedDataset(tmp_path, "train")) == 4
    (home / "recipe.yaml").write_text("training: {epochs: 7}")
    (home / "table.yaml").write_text("recipe: ~/recipe.yaml\nmethods: [supervised]")
    assert read_table("~/table.yaml").options == {"training": {"epochs": 7}}


def test_a_check_in_the_home_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder_set(home / "rooms")
    (home / "rooms/dataset.yaml").rename(home / "mine.yaml")
    assert cli.main(["check", "~/rooms", "--description=~/mine.yaml"]) == 0
    assert f"--data.root {home}/rooms --data.description {home}/mine.yaml" in capsys.readouterr().out
