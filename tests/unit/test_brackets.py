"""Lists on the command line need no brackets, which shells take for patterns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_type_hints

import pytest
from PIL import Image

from mtpsl.brackets import is_list
from mtpsl.cli import main
from mtpsl.commands.parsing import add_data_options, make_parser, parse
from mtpsl.data import PackedDataset
from mtpsl.errors import UserError
from mtpsl.training.config import CHOICES, option_names, parse_config
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.settings import TrainingSettings, names

VALUES = {
    "str": "depth,normals",
    "typing.Literal['tensorboard', 'csv', 'wandb', 'mlflow']": "csv,mlflow",
    "int, int": "96,128",
    "float, float": "0.5,1.5",
    "int, int, int": "6,12,18",
}


def list_options() -> list[tuple[str, str, str]]:
    """Every option of training that holds a list: the choice that has it, its name, a value."""
    classes = {("", "data"): DataSettings, ("", "training"): TrainingSettings}
    classes |= {
        (f"--{group}={name}", group): cls for group, (known, *_) in CHOICES.items() for name, cls in known.items()
    }
    found = {"--tasks": ("", "--tasks", "depth,normals")}
    for (choice, group), cls in classes.items():
        options = set(option_names(cls, group)) if choice else set(names(cls))
        for name, hint in get_type_hints(cls.__init__).items():
            if name in options and is_list(hint):
                value = next((value for kind, value in VALUES.items() if f"[{kind}]" in str(hint)), "1,2")
                found[f"--{group}.{name}"] = (choice, f"--{group}.{name}", value)
    return list(found.values())


OPTIONS = list_options()


@pytest.mark.parametrize(("choice", "option", "value"), OPTIONS, ids=[name for _, name, _ in OPTIONS])
def test_every_list_of_a_training_is_read_with_and_without_brackets(choice: str, option: str, value: str) -> None:
    more = ["--data.regime", "ratio"] if option == "--data.ratio" else []
    bare, equals, bracketed = (
        parse_config([*choice.split(), *more, *words], {}).to_dict()
        for words in ([option, value], [f"{option}={value}"], [option, f"[{value}]"])
    )
    assert bare == equals == bracketed
    assert str(value.split(",")[0]) in str(bare)


def test_lists_of_tasks_sizes_and_networks_are_among_them() -> None:
    known = {option for _, option, _ in OPTIONS}
    assert known >= {
        "--tasks",
        "--data.size",
        "--data.tasks",
        "--data.ratio",
        "--training.scales",
        "--network.rates",
    }


def test_one_word_is_a_list_and_null_is_none() -> None:
    assert parse_config(["--tasks", "segmentation"], {}).tasks == ["segmentation"]
    assert parse_config(["--tasks", "null"], {"tasks": ["depth"]}).tasks is None
    assert parse_config(["--training.scales", "1"], {}).training.scales == [1.0]


def test_the_other_commands_read_lists_without_brackets(tmp_path: Path) -> None:
    parser = make_parser("check", "")
    add_data_options(parser)
    assert parse(parser, ["--tasks", "depth"]).tasks == ["depth"]
    words: list[Any] = ["scenes", tmp_path / "rooms", "--train", 1, "--val", 1, "--size", "32,64"]
    assert main([str(word) for word in words]) == 0
    with Image.open(next((tmp_path / "rooms" / "train" / "image").iterdir())) as picture:
        assert picture.size == (64, 32)
    words = ["convert", tmp_path / "rooms", tmp_path / "out", "--splits", "val", "--tasks", "depth", "--size", "16,32"]
    assert main([str(word) for word in words]) == 0
    packed = PackedDataset(tmp_path / "out", "val")
    assert [*packed.tasks] == ["depth"]
    assert packed[0].image.shape == (3, 16, 32)
    with pytest.raises(UserError, match="train"):
        PackedDataset(tmp_path / "out", "train")
