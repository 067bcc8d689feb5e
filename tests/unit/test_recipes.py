"""The recipes that ship with the package: they parse, say how to use them, and quote published numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from mtpsl.shipped import shipped
from mtpsl.sweep.published import published_numbers
from mtpsl.training.config import parse_config, read_yaml

SETTINGS = {"nyuv2": "nyuv2 288x384", "cityscapes": "cityscapes 128x256", "pascal": "pascal-context"}
RECIPES = shipped("recipes")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_option_of_a_recipe_is_one(path: Path) -> None:
    stored = read_yaml(path)
    config = parse_config([], stored)
    for group in ("data", "training", "network", "objective"):
        resolved = config.to_dict()[group]
        assert {key: resolved[key] for key in stored[group]} == stored[group]
    assert f"mtpsl train {path.stem} " in path.read_text()


@pytest.mark.parametrize("path", [path for path in RECIPES if path.stem != "demo"], ids=lambda path: path.stem)
def test_the_numbers_in_the_head_are_those_of_the_named_table(path: Path) -> None:
    head = " ".join(line[2:] for line in path.read_text().splitlines() if line.startswith("# "))
    expected = re.search(r"Expected[^:]*:(.*?)\. (?=What)", head)
    assert expected is not None
    table = re.findall(r"Tab\. \d+", head)[-1]
    benchmark = "cityscapes 256x512" if path.stem.endswith("256x512") else SETTINGS[path.stem.split("_")[0]]
    numbers = published_numbers([f"CVPR22 {table}"], benchmark)
    regime = parse_config([], yaml.safe_load(path.read_text())).data.regime_name
    shown = [float(number) for number in re.findall(r"\d+\.\d+", expected[1].replace(table, ""))]
    row = numbers[regime, "cross_task" if (regime, "cross_task") in numbers else "supervised"]
    printed = [float(number) for (_, metric), number in row.items() if metric != "delta_mtl"]
    assert set(shown) <= set(printed)
    assert len(shown) == len(printed) or not shown
