"""Every option of `TrainingSettings` changes what it should, and nothing else."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from lines import Line, check, check_no_other
from observed_run import observe_run

from mtpsl.training.settings import TrainingSettings, names

AUGMENTED = {"images", "gradient"}
LINES = {
    "epochs": Line("3", {"epochs", "rates", "steps", "progress", "validated"}),
    "batch_size": Line("4", {"order", "images", "gradient", "rates", "steps", "progress"}),
    "drop_last": Line("false", {"order", "images", "rates", "steps", "progress"}, beside="--training.batch_size 3"),
    "optimizer": Line("adamw", {"optimizer", "rates", "decay"}),  # norms and biases are a group of their own
    "lr": Line("0.01", {"rates"}),
    "encoder_lr_factor": Line("0.5", {"rates", "decay"}),  # the encoder is a group of its own
    "freeze_encoder": Line("true", {"gradient"}),
    "weight_decay": Line("0.1", {"decay"}),
    "schedule": Line("constant", {"rates"}),
    "warmup": Line("0.5", {"rates"}),
    "ema": Line("0.5", {"averaged"}),
    "clip": Line("0.01", {"gradient"}),
    "accumulate": Line("2", {"gradient", "rates", "steps"}),
    "validate_every": Line("1", {"validated"}),
    "keep_best": Line("true", {"best"}),
    "patience": Line(
        "1",
        {"epochs", "rates", "steps", "progress", "validated"},
        beside="--training.epochs 6 --training.lr 0.3 --training.validate_every 1",
    ),
    "scales": Line("[1.5]", AUGMENTED),
    "flip": Line("false", AUGMENTED),
    "rotation": Line("20", AUGMENTED),
    "rescale": Line("[0.75,1.25]", AUGMENTED),
    "rescale_draw": Line("uniform", AUGMENTED, beside="--training.rescale [0.5,2]"),
    "border": Line("zero", {"gradient"}, beside="--training.rescale [0.5,0.6]"),
    "photometric": Line("0.5", AUGMENTED),
    "seed": Line("1", {"order", "start", *AUGMENTED}),
    "precision": Line("bf16-mixed", {"precision", "gradient"}),
    "channels_last": Line("true", {"format", "gradient"}),  # rounded otherwise; norms of few pixels enlarge it
    "compile": Line("true", {"compiled"}),
    "accelerator": Line("gpu", {"hardware"}),
    "devices": Line("2", {"hardware"}),
    "num_nodes": Line("2", {"hardware"}),
    "strategy": Line("ddp", {"hardware"}, beside="--training.devices 2"),
    "sync_batchnorm": Line("true", {"hardware"}, beside="--training.devices 2"),
    "checkpoint_minutes": Line("1e-9", {"middle"}),
    "sheets": Line("1", {"sheets"}),
    "report": Line("false", {"report"}, default="true"),
    "logger": Line("[csv]", {"logged"}),
    "start_from": Line("RUN", {"start", "gradient"}),
}
"""Observations are those of `observe_run`."""


@pytest.fixture(scope="module")
def observe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    runs = tmp_path_factory.mktemp("runs")

    @cache
    def observed(*words: str) -> dict[str, Any]:
        return observe_run([word.replace("RUN", str(runs / "run")) for word in words], runs / "-".join(["run", *words]))

    observed()
    return lambda words: observed(*words)


@pytest.mark.parametrize("option", names(TrainingSettings))
def test_a_training_option_changes_what_it_should(option: str, observe: Any) -> None:
    check(f"training.{option}", LINES.get(option), observe, "LINES in tests/options/test_training_options.py")


def test_every_line_is_of_a_training_option() -> None:
    check_no_other(LINES, names(TrainingSettings), "tests/options/test_training_options.py")


def watched(observe: Any, words: str = "") -> dict[str, Any]:
    return observe(words.split())


def test_the_objective_is_told_how_much_of_the_training_is_done(observe: Any) -> None:
    assert watched(observe)["progress"] == [0.0, 0.25, 0.5, 0.75]


def test_rates_follow_the_schedule_epoch_by_epoch(observe: Any) -> None:
    for schedule, factors in {
        "step": [1, 1, 0.5],
        "constant": [1, 1, 1],
        "poly": [1, (2 / 3) ** 0.9, (1 / 3) ** 0.9],
    }.items():
        rates = watched(observe, f"--training.schedule {schedule} --training.epochs 3 --training.lr 0.02")["rates"]
        assert [rate for (rate,) in rates] == pytest.approx([0.02 * factor for factor in factors for _ in range(2)])


def test_gradients_are_no_longer_than_the_clip(observe: Any) -> None:
    assert watched(observe, "--training.clip 0.01")["gradient"] == pytest.approx(0.01, rel=1e-3)
    assert watched(observe)["gradient"] > 0.1
    half = "--training.optimizer adamw --training.precision bf16-mixed --training.clip 0.01"
    assert watched(observe, half)["gradient"] == pytest.approx(0.01, rel=1e-3)


def test_accumulated_gradients_are_those_of_the_double_batch_without_norms(observe: Any) -> None:
    """Norms see other batches, so it is near, not equal; a sum in place of the mean would be twice as long."""
    fixed = "--training.scales [1] --training.flip false"
    double = watched(observe, f"--training.accumulate 2 {fixed}")["gradient"]
    assert double == pytest.approx(watched(observe, f"--training.batch_size 4 {fixed}")["gradient"], rel=0.3)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_options_for_speed_train_together(observe: Any) -> None:
    words = "--training.precision bf16-mixed --training.channels_last true --training.accumulate 2 --training.clip 0.5 "
    words += "--training.schedule poly --data.workers 1 --objective cross_task --objective.mapping.width 0.01"
    seen = watched(observe, words)
    assert (seen["precision"], seen["format"]) == ({torch.bfloat16}, {True})
    assert seen["rates"] == [pytest.approx([1e-4] * 3), pytest.approx([1e-4 * 0.5**0.9] * 3)]
    assert seen["gradient"] == pytest.approx(0.5, rel=1e-3)
    assert [len(images) for images in seen["images"]] == [4, 4]  # two views of two images
    assert seen["order"] == watched(observe)["order"]  # a worker reads the same
