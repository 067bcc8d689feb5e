"""Validation with more processes than images: every process validates, and scores are those of one process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from folder_sets import write_folder_set
from mtpsl.evaluation.evaluate import Evaluator
from mtpsl.evaluation.scores import Scores
from mtpsl.training.config import parse_config
from mtpsl.training.loaders import Loaders
from mtpsl.training.run_data import run_data

TASKS = ["segmentation", "normals", "edges"]


@pytest.fixture
def loaders(tmp_path: Path) -> Loaders:
    root = write_folder_set(tmp_path / "set", TASKS, splits={"train": 4, "val": 1}, size=(16, 16))
    words = ["--data.root", str(root), "--data.size", "16,16", "--training.batch_size", "2"]
    config = parse_config(words, {})
    return Loaders(config, run_data(config))


def scores(loaders: Loaders, ranks: range, world_size: int) -> Scores:
    """Of the counts of all processes together; predictions are a function of the image."""
    evaluator = Evaluator(loaders.data.tasks)
    for rank in ranks:
        for batch in loaders.validation_loader(rank, world_size):
            some = batch.images.mean(1, keepdim=True)
            channels = {task.name: torch.arange(1.0, 1 + task.out_channels) for task in evaluator.tasks}
            predictions = {name: some * k.view(1, -1, 1, 1) - 0.5 for name, k in channels.items()}
            evaluator.update(predictions, batch)
    return evaluator.compute()


@pytest.mark.parametrize("world_size", [2, 3])
def test_a_process_without_an_image_validates_one_that_counts_nothing(loaders: Loaders, world_size: int) -> None:
    alone = scores(loaders, range(1), 1)
    assert alone["segmentation"]["miou"].value > 0
    assert alone["edges"]["odsf"].value > 0
    assert repr(scores(loaders, range(world_size), world_size)) == repr(alone)  # a NaN equals itself
    for rank in range(1, world_size):
        (batch,) = loaders.validation_loader(rank, world_size)
        assert not any(valid.any() for valid in batch.valid.values())


def test_hiding_labels_leaves_the_data_set_and_its_cache_as_they_are(loaders: Loaders) -> None:
    before = loaders.data.validation[0]  # cached now
    hidden = loaders.data.validation.without_labels()
    assert hidden[0].targets == {}
    assert torch.equal(hidden[0].image, before.image)
    assert [*loaders.data.validation[0].targets] == [*before.targets] != []
