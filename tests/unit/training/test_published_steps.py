"""How many steps the shipped recipes and tables take: those of the published scripts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from jaxtyping import Bool
from torch import Tensor

from builders import SHARED
from mtpsl.data import LabelledDataset
from mtpsl.shipped_files import shipped
from mtpsl.structures import Sample
from mtpsl.sweep.plan import plan_runs
from mtpsl.sweep.table import read_table
from mtpsl.tasks import Depth, Edges, HumanParts, Normals, Saliency, Segmentation, Task
from mtpsl.training import run_data
from mtpsl.training.config import RunConfig, parse_config, read_options
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.loaders import Loaders

SETS: dict[str, tuple[int, list[Task]]] = {
    "nyuv2": (795, [Segmentation(num_classes=13), Depth(), Normals()]),
    "cityscapes_mtan": (2975, [Segmentation(num_classes=7), Depth(inverse=True)]),
    "pascal": (4998, [Segmentation(num_classes=21), HumanParts(), Normals(), Saliency(), Edges()]),
}
RECIPES = [path for path in shipped("recipes") if path.stem not in ("demo", "own_data")]
TABLES = [path for path in shipped("tables") if path.stem != "demo"]
SPLITS = SHARED / "splits"


class Counted(LabelledDataset):
    """As many images as published, with every label, and nothing to read."""

    def __init__(self, name: str, tasks: Sequence[str] | None) -> None:
        count, some = SETS[name]
        self.name, self.tasks = name, {task.name: task for task in some if tasks is None or task.name in tasks}
        self.keys = [str(index) for index in range(count)]
        self.available = torch.ones((count, len(self.tasks)), dtype=torch.bool)

    def image_size(self, index: int) -> tuple[int, int]:
        return 32, 64

    def _read(self, index: int, tasks: Sequence[str]) -> Sample:
        raise AssertionError("no image is needed to count steps")


@pytest.fixture(autouse=True)
def _no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(settings: DataSettings, split: str, tasks: Sequence[str] | None) -> Counted:
        return Counted(settings.name, tasks)

    def drawn(settings: DataSettings, *others: Any) -> Bool[Tensor, "n k"]:
        if repr(settings) not in masks:  # which labels remain takes longest to find out
            masks[repr(settings)] = draw(settings, *others)
        return masks[repr(settings)]

    masks: dict[str, Tensor] = {}
    draw = run_data.regime_labels
    for name in ("open_split", "open_scored"):
        monkeypatch.setattr(run_data, name, opened)
    monkeypatch.setattr(run_data, "regime_labels", drawn)


def counted(config: RunConfig, epochs: int) -> tuple[float, int]:
    """Steps of a whole training, from the batches of its loader in some epochs, and how many images are labelled."""
    loaders = Loaders(config, run_data.run_data(config))
    loader, counts = loaders.training_loader(0, 1), []
    for epoch in range(epochs if loaders.varies else 1):
        loader.set_epoch(epoch)
        counts.append(len(loader))
    return config.training.epochs * fmean(counts), int(loaders.data.train.mask.any(1).sum())


@lru_cache
def expected(count: int, labelled: int, size: int, drop_last: bool, epochs: int) -> float:
    """The mean number of batches that have a label, when a batch is any `size` of the images."""
    sizes = [size] * (count // size) + ([] if drop_last or not count % size else [count % size])
    return epochs * sum(1 - comb(count - labelled, n) / comb(count, n) for n in sizes)


def check(config: RunConfig, epochs: int) -> float:
    """Steps of a run, once compared with what is expected."""
    training, count = config.training, SETS[config.data.name][0]
    assert config.data.epoch_images == "all"
    steps, labelled = counted(config, epochs)
    useful = count if config.objective == "semi_supervised" else labelled
    mean = expected(count, useful, training.batch_size, training.drop_last, training.epochs)
    assert steps == pytest.approx(mean, rel=0.05 / epochs**0.5 if useful < count else 0)
    return steps


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_take_the_published_number_of_steps(path: Path) -> None:
    steps = {"nyuv2": 79_400, "cityscapes": 74_400, "pascal": 83_300}[path.stem.split("_")[0]]
    assert check(parse_config([], read_options(path)), 1) == steps


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_tables_take_the_published_numbers_of_steps(path: Path) -> None:
    runs = plan_runs(read_table(str(path)))
    assert runs
    for run in runs:
        steps, name = check(run.config, 10), run.config.data.name
        if run.config.objective == "stl" and (name, run.config.data.regime) in SINGLE:
            assert steps == pytest.approx(SINGLE[name, run.config.data.regime], rel=0.02), run.name


#: steps of single-task runs with the published scripts, by label regime
SINGLE = {
    ("nyuv2", "full"): 79_600,
    ("nyuv2", "one"): 44_175,
    ("cityscapes_mtan", "full"): 74_400,
    ("cityscapes_mtan", "one"): 74_100,
}


@pytest.mark.skipif(not SPLITS.is_dir(), reason="the published lists of labels are not beside the project")
@pytest.mark.parametrize(
    ("recipe", "labels", "low", "high"),
    [
        ("nyuv2_one_label", "nyuv2/onelabel.pth", 44_100, 44_250),
        ("nyuv2_random_labels", "nyuv2/randomlabels.pth", 58_350, 60_750),
        ("cityscapes_one_label", "cityscapes/onelabel.pth", 74_050, 74_150),
    ],
)
def test_single_task_runs_take_the_published_steps_with_the_published_labels(
    recipe: str, labels: str, low: int, high: int
) -> None:
    stored = read_options(next(path for path in RECIPES if path.stem == recipe))
    given = ["--objective", "stl", "--data.regime", "file", "--data.labels", str(SPLITS / labels)]
    for task in SETS[stored["data"]["name"]][1]:
        options = [*given, "--tasks", f"[{task.name}]", "--training.drop_last", "false"]
        steps = check(parse_config(options, stored), 200)
        assert low <= steps <= high, task.name
