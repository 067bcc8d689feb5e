"""The recipes that ship with the package: they parse, say how to use them, and quote published numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from mtpsl.shipped_files import shipped
from mtpsl.sweep.published import published_numbers
from mtpsl.training.config import parse_config, read_options
from mtpsl.training.option_groups import by_name

SETTINGS = {"nyuv2": "nyuv2 288x384", "cityscapes": "cityscapes 128x256", "pascal": "pascal-context"}
RECIPES = shipped("recipes")
PUBLISHED = [path for path in RECIPES if path.stem not in ("demo", "own_data")]
PHRASES = {
    r"(?:mIoU|segmentation) ([\d.]+)": ("segmentation", "miou"),
    r"(?:depth error|mIoU [\d.]+ % and) ([\d.]+)": ("depth", "abs_err"),
    r"(?:angular error|normals) ([\d.]+)": ("normals", "mean_err"),
    r"parts ([\d.]+)": ("human_parts", "miou"),
    r"saliency ([\d.]+)": ("saliency", "image_iou"),
    r"edges ([\d.]+)": ("edges", "odsf"),
}
"""How heads say what number they quote."""


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_option_of_a_recipe_is_one(path: Path) -> None:
    stored = read_options(path)
    resolved = by_name(parse_config([], stored).to_dict())
    given = by_name({group: stored.get(group, {}) for group in ("data", "training", "network", "objective")})
    assert {option: resolved[option] for option in given} == given
    assert f"mtpsl train {path.stem} " in path.read_text()


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_the_numbers_in_the_head_are_those_of_the_named_table(path: Path) -> None:
    head = " ".join(line[2:] for line in path.read_text().splitlines() if line.startswith("# "))
    expected = re.search(r"Expected[^:]*:(.*?)\. (?=What)", head)
    assert expected is not None
    table = re.findall(r"Tab\. \d+", head)[-1]
    benchmark = "cityscapes 256x512" if path.stem.endswith("256x512") else SETTINGS[path.stem.split("_")[0]]
    numbers = published_numbers([f"CVPR22 {table}"], benchmark)
    regime = parse_config([], yaml.safe_load(path.read_text())).data.regime_name
    shown = {metric: found[1] for words, metric in PHRASES.items() if (found := re.search(words, expected[1]))}
    published = {method for row_regime, method in numbers if row_regime == regime}
    method = "cross_task" if "cross_task" in published else "supervised"
    assert ("not published for cross_task" in expected[1]) == (method != "cross_task")
    assert method == "cross_task" or method in expected[1]
    if path.stem == "pascal_all_labels":  # it names the methods of which there are numbers
        assert not re.search(r"\d\.\d", expected[1])
        assert published == {"stl", "supervised"}
        assert all(name in expected[1] for name in published)
        return
    row = numbers[regime, method]
    assert shown == {metric: number for metric, number in row.items() if metric != (None, "delta_mtl")}


def test_a_wrong_number_in_a_head_would_be_noticed() -> None:
    """The phrases find every number of a head, so that none is left unread."""
    for path in RECIPES:
        head = " ".join(line[2:] for line in path.read_text().splitlines() if line.startswith("# "))
        expected = re.search(r"Expected[^:]*:(.*?)\. (?=What)", head)
        text = re.sub(r"Tab\. \d+", "", expected[1]) if expected else ""
        read = [found[1] for words in PHRASES if (found := re.search(words, text))]
        assert sorted(re.findall(r"\d+\.\d+", text)) == sorted(read), path.stem
