"""What a report says of a run: which images, how wrong, what differs, how to repeat it."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mtpsl.commands.recipes import find_recipe
from mtpsl.data.partial import PartialDataset
from mtpsl.data.scenes.dataset import ScenesDataset
from mtpsl.errors import UserError
from mtpsl.evaluation.run_scores import read_run_scores
from mtpsl.structures import Output, Sample
from mtpsl.tasks import Depth, Segmentation, Task
from mtpsl.training.config import parse_config, read_options
from mtpsl.training.report.folder_files import read_history, score_lines
from mtpsl.training.report.look import Look, histogram, look_at, spread_order
from mtpsl.training.report.options import nearest, repeating, split_options
from mtpsl.training.report.side_by_side import run_names, together
from run_folders import write_run

SIZE = (16, 24)
TASKS: list[Task] = [Segmentation(num_classes=3), Depth()]


def depth_sample(key: str, error: float) -> tuple[Sample, dict[str, Tensor]]:
    """An image whose depth is 1 m everywhere and predicted that much too far; segmentation is right."""
    targets = {"depth": torch.ones(1, *SIZE), "segmentation": torch.ones(SIZE, dtype=torch.long)}
    valid = {name: torch.ones(SIZE, dtype=torch.bool) for name in targets}
    one = Sample(key, torch.rand(3, *SIZE), targets, valid)
    raw = torch.zeros(3, *SIZE)
    raw[1] = 5.0
    return one, {"depth": torch.full((1, *SIZE), 1 + error), "segmentation": raw}


def test_the_worst_and_the_best_images_are_those_with_the_largest_and_smallest_loss() -> None:
    look = Look(TASKS, shown=2, extremes=2)
    for index, error in enumerate([0.3, 0.9, 0.1, 0.5, 0.7, 0.2]):
        look.add(*depth_sample(f"{index}", error))
    found = look.result(9)
    assert [one.key for one in found.worst["depth"]] == ["1", "4"]
    assert [one.key for one in found.best["depth"]] == ["2", "5"]
    assert [one.key for one in found.sheets] == ["0", "1"]
    assert (found.count, found.total) == (6, 9)


def test_with_few_images_none_is_the_worst_and_the_best_at_once() -> None:
    look = Look(TASKS, shown=1, extremes=2)
    for index in range(3):
        look.add(*depth_sample(f"{index}", 0.1 * index))
    assert not look.result(3).worst


def test_classes_and_errors_count_every_labelled_pixel() -> None:
    look = Look(TASKS, shown=0, extremes=0)
    for index, error in enumerate([0.5, 0.25]):
        one, raw = depth_sample(f"{index}", error)
        one.valid["depth"][:8] = False
        one.targets["segmentation"][:4] = 2
        look.add(one, raw)
    found = look.result(2)
    quarter = SIZE[0] * SIZE[1] // 4  # of an image: the part that has class 2
    assert found.confusions[0].counts.tolist() == [[0, 0, 0], [0, 6 * quarter, 0], [0, 2 * quarter, 0]]
    assert found.classes[0].scores == pytest.approx({"0": None, "1": 75.0, "2": 0.0})
    (errors,) = found.histograms
    assert (errors.task, errors.unit) == ("depth", "m")
    assert errors.shares[-1] == pytest.approx(0.5)
    assert sum(errors.shares) == pytest.approx(1.0)


def test_a_histogram_shows_all_but_one_percent() -> None:
    amounts = np.concatenate([np.linspace(0, 1, 991), np.full(9, 1000.0)])
    found = histogram(Depth(), amounts)
    assert found.edges[-1] == pytest.approx(1.0, abs=0.02)
    assert sum(found.shares) == pytest.approx(0.99, abs=0.002)
    assert "half of the pixels are off by at most 0.5" in found.words


def test_images_without_a_label_are_shown_and_not_counted() -> None:
    look = Look(TASKS, shown=1, extremes=1)
    one, raw = depth_sample("bare", 0.5)
    look.add(Sample(one.key, one.image), raw)
    found = look.result(1)
    assert not found.histograms
    assert not found.confusions
    assert [picture.caption for picture in found.sheets[0].views[1].pictures] == ["photo", "prediction"]


@pytest.mark.parametrize(("count", "shown", "images"), [(10, 2, 5), (3, 4, 100), (100, 4, 0), (57, 5, 57), (1, 1, 1)])
def test_images_are_looked_at_once_and_any_first_part_is_spread(count: int, shown: int, images: int) -> None:
    order = spread_order(count, shown, images)
    assert len(order) == len(set(order)) == min(count, max(shown, images))
    assert set(order) <= set(range(count))
    assert order[:shown] == [place * count // min(shown, count) for place in range(min(shown, count))]


def test_a_look_stops_in_time_but_not_before_the_sheets() -> None:
    scenes = ScenesDataset(9, "val", size=SIZE, tasks=["depth"])
    data = PartialDataset(scenes, scenes.available, cache=False)
    tasks = [*scenes.tasks.values()]

    class Fixed(torch.nn.Module):
        def forward(self, images: Tensor) -> Output:
            return Output({"depth": torch.ones(len(images), 1, *SIZE)}, [])

    network = Fixed().train()
    assert look_at(network, tasks, data, shown=3, extremes=1, images=9, seconds=0.0).count == 3
    assert network.training
    assert look_at(network, tasks, data, shown=3, extremes=1, images=5).count == 5


def test_runs_stand_beside_each_other_where_they_have_the_same_task() -> None:
    looks = []
    for tasks in (TASKS, [Segmentation(num_classes=3)], [Depth(), Segmentation(num_classes=3)]):
        look = Look(tasks, shown=2, extremes=0)
        for index in range(2):
            look.add(*depth_sample(f"{index}", 0.1))
        looks.append(look)
    sheets = together(["a", "b", "c"], looks)
    assert [sheet.key for sheet in sheets] == ["0", "1"]
    captions = {view.task: [picture.caption for picture in view.pictures] for view in sheets[0].views}
    assert captions == {"segmentation": ["photo", "label", "a", "b", "c"], "depth": ["photo", "label", "a", "c"]}


@pytest.mark.parametrize(
    ("words", "basis"),
    [
        (["--data.root", "DATA", "--training.epochs", "18", "--training.batch_size", "4"], "own_data"),
        (
            ["--data.root", "DATA", "--objective", "cross_task", "--network.encoder", "tf_efficientnet_lite1"],
            "own_data",
        ),
        (["--data.root", "my data", "--objective.losses.task_weights", "{depth: 2.0}", "--label", "a b"], "own_data"),
        (["--data.root", "NYU", "--training.scales", "1.0,1.5", "--training.rescale", "0.8,1.2"], "nyuv2_one_label"),
        (["--data.root", "NYU", "--weighting", "fixed", "--weighting.weights", "{depth: 0.5}"], "nyuv2_all_labels"),
    ],
)
def test_the_command_that_repeats_a_run_gives_the_same_configuration(words: list[str], basis: str) -> None:
    config = parse_config(words, read_options(find_recipe(basis)))
    found = nearest(config)
    assert found.recipe == basis
    commands = repeating(config, found, Path("runs/my run"))
    assert shlex.split(commands[0][1]) == ["mtpsl", "train", "runs/my run/config.yaml", "--out", "NEW"]
    again = shlex.split(commands[1][1])
    assert again[:3] == ["mtpsl", "train", basis]
    assert again[-2:] == ["--out", "NEW"]
    assert parse_config(again[3:-2], read_options(find_recipe(basis))).to_dict() == config.to_dict()
    different, others = split_options(config, found)
    named = {word.removeprefix("--") for word in words if word.startswith("--")}
    named = {f"{name}.name" if name in ("objective", "weighting") else name for name in named}
    assert named <= {name for name, _, _ in different}
    assert not {name for name, _ in others} & {name for name, _, _ in different}


def test_scores_know_the_best_epoch(tmp_path: Path) -> None:
    run = read_run_scores(write_run(tmp_path, "supervised", {"segmentation": 60.0, "depth": 0.25}))
    history = {"epoch": [5.0, 10.0, 20.0], "val/segmentation/miou": [50.0, 61.0, 60.0]}
    history |= {"val/depth/abs_err": [0.4, None, 0.250001]}
    lines = {(line.task, line.metric): line for line in score_lines(run, history)}
    assert (lines["segmentation", "miou"].best, lines["segmentation", "miou"].best_epoch) == (61.0, 10)
    assert (lines["depth", "abs_err"].best, lines["depth", "abs_err"].best_epoch) == (0.25, 20)  # to all digits
    assert lines["depth", "rmse"].best is None


@pytest.mark.parametrize("text", ["epoch,loss\n1,abc\n", "epoch,loss\n1\n2,3\n", "loss\n1\n", "epoch,loss\n,2\n"])
def test_a_broken_history_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(UserError, match=r"metrics\.csv cannot be read"):
        read_history(tmp_path)


def test_runs_are_named_by_what_tells_them_apart(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path, name, {"depth": 1.0}, seed=seed) for name in ("stl", "supervised") for seed in (0, 1)
    ]
    runs = [read_run_scores(folder) for folder in folders]
    assert run_names(runs) == ["stl, seed 0", "stl, seed 1", "supervised, seed 0", "supervised, seed 1"]
    assert run_names(runs[:1]) == ["stl"]
    twin = read_run_scores(write_run(tmp_path / "again", "supervised", {"depth": 1.0}))
    assert len(set(run_names([runs[2], twin]))) == 2
