"""Every registered layout is recognized, checked and converted without loss, in the trees of the benchmark."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from folder_sets import assert_same_samples
from mtpsl.data import DATASETS, check_dataset, convert_dataset, recognize
from mtpsl.data.convert.writers import file_names

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
#: described by a file, not by a tree, and tested elsewhere
DESCRIBED = {"packed", "shards", "merged"}


def load_trees():
    spec = importlib.util.spec_from_file_location("benchmark_trees", BENCHMARKS / "trees.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


trees = load_trees()


def test_the_benchmark_has_a_tree_of_every_layout():
    assert {*trees.TREES} | DESCRIBED == {*DATASETS}


@pytest.mark.parametrize("name", trees.TREES)
def test_a_tree_is_recognized_checked_and_converted_to_the_bit(tmp_path, name):
    root = trees.write_tree(tmp_path / name, name, 2, size=(48, 64), splits=("train", "val"))
    assert recognize(root) == name
    report = check_dataset(root, progress=False)
    assert report.ok, report.problems
    assert report.layout == name
    assert {"train", "val"} <= {*report.splits}
    assert all(task.labels == 2 for task in report.splits["train"].tasks.values())
    for size in (None, (24, 40)):
        source = DATASETS[name](root, "train", size=size)
        packed, shards, folder = (tmp_path / f"{form} {size}" for form in ("packed", "shards", "folder"))
        assert convert_dataset(root, packed, size=size, progress=False)["train"] == 2
        assert_same_samples(source, DATASETS["packed"](packed, "train", size=size))
        if size is None or name not in ("nyuv2", "cityscapes_mtan"):  # their images become values that no PNG holds
            convert_dataset(root, folder, to="folder", size=size, progress=False)
            convert_dataset(root, shards, to="shards", size=size, progress=False)
            assert_same_samples(source, DATASETS["shards"](shards, "train", size=size))
            converted = DATASETS["folder"](folder, "train", size=size)
            assert converted.keys == [*file_names(source.keys).values()]
            assert_same_samples(source, converted, keys=False)
    assert_same_samples(
        DATASETS[name](root, "train", size=(32, 32)),
        DATASETS["packed"](tmp_path / "packed None", "train", size=(32, 32)),
    )
