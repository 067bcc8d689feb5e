"""Scores at the size of each label, where predictions have one size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from builders import label, sample
from mtpsl.data import PartialDataset, make_loader
from mtpsl.data.own_size import OwnSizeLabels
from mtpsl.errors import UserError
from mtpsl.evaluation.evaluate import Evaluator, evaluate
from mtpsl.structures import Labels, Output, Sample, ScoredBatch
from mtpsl.tasks import (
    TASKS,
    ClassMap,
    Depth,
    Edges,
    HumanParts,
    MultiLabel,
    Normals,
    Regression,
    Saliency,
    Segmentation,
    Task,
)
from mtpsl.training.data import open_scored
from mtpsl.training.data_settings import DataSettings
from pascal_tree import write_pascal

EVERY: list[Task] = [
    Segmentation(num_classes=5),
    Depth(),
    Normals(),
    Edges(),
    Saliency(),
    HumanParts(),
    Regression(),
    MultiLabel(class_names=["a"]),
]
SIZES = [(30, 41), (64, 20), (16, 24)]


def raw(task: Task, target: Tensor) -> Tensor:
    """A raw prediction that says what a label does."""
    if isinstance(task, ClassMap):
        return 9.0 * torch.nn.functional.one_hot(target, task.num_classes).movedim(-1, 1).float()
    return 20 * target - 10 if task.out_channels == 1 and not isinstance(task, Depth | Regression) else target.clone()


def test_every_kind_of_task_is_tried() -> None:
    assert {type(task) for task in EVERY} == {*TASKS.values()}


@pytest.mark.parametrize("task", EVERY, ids=lambda task: task.name)
def test_what_a_prediction_says_is_resized(task: Task) -> None:
    prediction = raw(task, label(task, (8, 10), seed=3)[None])
    for size in SIZES:
        resized = task.resize(prediction, size)
        assert tuple(resized.shape) == (1, task.out_channels, *size)
        rows, columns = (torch.arange(n) * old // n for n, old in zip(size, (8, 10), strict=True))
        nearest = task.decode(prediction)[..., rows[:, None], columns]
        if isinstance(task, ClassMap):
            assert torch.equal(task.decode(resized), nearest)
            continue
        one_value = task.resize(prediction[..., 2:3, 4:5].expand(1, -1, 8, 10), size)
        expected = task.decode(prediction[..., 2:3, 4:5]).expand_as(one_value)
        torch.testing.assert_close(task.decode(one_value), expected, atol=1e-3, rtol=1e-3)
        if isinstance(task, Edges | Saliency):  # probabilities, not logits, are interpolated: their mean stays
            mixed = task.resize(torch.tensor([[[[-12.0, 12.0]]]]), (1, 4))
            assert task.decode(mixed).flatten().tolist() == pytest.approx([0, 0.25, 0.75, 1], abs=1e-4)


def test_long_and_short_vectors_count_alike_between_two_directions() -> None:
    two = torch.tensor([[100.0, 0, 0], [0, 1.0, 0]]).T.view(1, 3, 1, 2)
    between = Normals().decode(Normals().resize(two, (1, 4)))[0, :, 0].T
    assert between[1].tolist() == pytest.approx([3 / 10**0.5, 1 / 10**0.5, 0], abs=1e-6)


class Answer(nn.Module):
    """A network that says the same of every image."""

    def __init__(self, predictions: dict[str, Tensor]) -> None:
        super().__init__()
        self.predictions, self.weight = predictions, nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> Output:
        return Output({name: x.expand(len(images), -1, -1, -1) for name, x in self.predictions.items()}, [])


def test_each_image_is_scored_at_the_size_of_its_labels() -> None:
    predictions = {task.name: raw(task, label(task, (8, 10), seed=9)[None]) for task in EVERY}
    labels = []
    for number, size in enumerate(SIZES):
        some = [task for task in EVERY if (task.name == "depth") != (number == 1)]
        targets = {task.name: label(task, size, seed=number)[None] for task in some}
        valid = {name: torch.rand(1, *size, generator=torch.Generator().manual_seed(1)) < 0.8 for name in targets}
        labels.append(Labels(targets, valid))
    batch = ScoredBatch(("a", "b", "c"), torch.zeros(3, 3, 8, 10), tuple(labels)).to("cpu")
    assert len(batch) == 3
    scores = evaluate(Answer(predictions), EVERY, [batch])
    alone = Evaluator(EVERY)
    for one in labels:
        for task in EVERY:
            if task.name in one.targets:
                prediction = task.resize(predictions[task.name], tuple(one.valid[task.name].shape[-2:]))
                alone.metric(task).update(prediction, one.targets[task.name], one.valid[task.name])
    assert scores == alone.compute()
    # segmentation by hand: the nearest pixel's class, counted over all pixels of the two images that have one
    hits = pixels = 0
    classes = predictions["segmentation"].argmax(1)[0].numpy()
    for one, size in zip(labels, SIZES, strict=True):
        if "segmentation" in one.targets:
            rows, columns = (np.arange(n) * old // n for n, old in zip(size, (8, 10), strict=True))
            valid = one.valid["segmentation"][0].numpy()
            hits += (classes[rows[:, None], columns] == one.targets["segmentation"][0].numpy())[valid].sum()
            pixels += valid.sum()
    assert scores["segmentation"]["pixel_accuracy"].value == pytest.approx(100 * hits / pixels)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pascal(tmp_path_factory.mktemp("pascal"), {"train": ["a"], "val": ["b", "c", "d"]})


def pascal(tree: Path, score_size: str) -> DataSettings:
    return DataSettings(name="pascal", root=str(tree), size=(32, 32), score_size=score_size)  # type: ignore[arg-type]


@pytest.mark.parametrize("score_size", ["input", "own"])
def test_labels_keep_their_size_where_asked_and_images_never(tree: Path, score_size: str) -> None:
    dataset = open_scored(pascal(tree, score_size), "val", None)
    assert isinstance(dataset, OwnSizeLabels) == (score_size == "own")
    for index, own in enumerate([(6, 8), (7, 7), (6, 6)]):
        one = dataset[index]
        assert tuple(one.image.shape[-2:]) == dataset.image_size(index) == (32, 32)
        assert dataset.original_size(index) == own  # predictions are made of pictures seen like these
        sizes = {tuple(valid.shape) for valid in one.valid.values()}
        assert sizes == {own if score_size == "own" else (32, 32)}
    hidden = dataset.read(0, ["edges"])
    assert [*hidden.targets] == ["edges"]


def test_loaders_give_images_together_and_labels_one_by_one(tree: Path) -> None:
    source = open_scored(pascal(tree, "own"), "val", None)
    dataset = PartialDataset(source, source.available)
    for _ in range(2):  # the second time from the cache
        (batch,) = make_loader(dataset, {}, batch_size=3, shuffle=False)
        assert isinstance(batch, ScoredBatch)
        assert batch.images.shape == (3, 3, 32, 32)
        assert [tuple(one.valid["edges"].shape) for one in batch.labels] == [(1, 6, 8), (1, 7, 7), (1, 6, 6)]
    specs = {name: task.target_spec for name, task in source.tasks.items()}
    (pictured,) = make_loader(dataset.at_image_size().spread(2), specs, batch_size=2, shuffle=False)
    assert pictured.valid["edges"].shape == (2, 32, 32)


def test_two_readers_of_different_images_are_refused(tree: Path) -> None:
    one, other = (open_scored(pascal(tree, "input"), split, None) for split in ("train", "val"))
    with pytest.raises(ValueError, match="same split"):
        OwnSizeLabels(one, other)


def test_what_has_no_size_of_its_own_is_refused_with_the_cure() -> None:
    with pytest.raises(UserError, match=r"scenes has images of one size only.*--data.score_size input"):
        open_scored(DataSettings(name="scenes", size=(32, 32), score_size="own", scenes_val=2), "val", None)
    with pytest.raises(ValueError, match=r"data.score_size own belongs to a data.size"):
        DataSettings(score_size="own")


def test_tables_keep_scores_at_own_size_apart() -> None:
    settings = DataSettings(size=(512, 512), score_size="own", limit=9)
    assert settings.table_name("pascal") == "pascal, scored at own size, 9 training images"


def test_samples_of_one_size_are_collated_as_ever() -> None:
    class Plain(torch.utils.data.Dataset[Sample]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Sample:
            return sample(str(index), (4, 6))

    specs = {task.name: task.target_spec for task in EVERY[:3]}
    (batch,) = make_loader(Plain(), specs, batch_size=2, shuffle=False)
    assert batch.targets["depth"].shape == (2, 1, 4, 6)
