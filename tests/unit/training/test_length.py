"""Epochs and batch size that the number of images decides."""

from __future__ import annotations

import pytest

from mtpsl.errors import UserError
from mtpsl.training.config import parse_config
from mtpsl.training.length import decided, decisions, suited_batch_size, suited_epochs, with_length
from mtpsl.training.run_data import run_data


@pytest.mark.parametrize(
    ("words", "images", "numbers", "line"),
    [
        ("auto auto", 552, (54, 8), "training.epochs 54 (short: 18), training.batch_size 8: for 552 training images"),
        ("3 auto", 20, (3, 4), "training.batch_size 4: for 20 training images"),
        ("auto 3", 367, (82, 3), "training.epochs 82 (short: 27): for 367 training images"),
        ("short 3", 367, (27, 3), "training.epochs 27: for 367 training images"),
        ("short auto", 5, (33, 2), "training.epochs 33, training.batch_size 2: for 5 training images"),
        ("3 3", 20, (3, 3), ""),
    ],
)
def test_auto_becomes_numbers_and_a_line_says_them(
    words: str, images: int, numbers: tuple[int, int], line: str
) -> None:
    epochs, batch_size = words.split()
    given = parse_config(["--training.epochs", epochs, "--training.batch_size", batch_size], {})
    config = with_length(given, images)
    assert (config.training.epochs, config.training.batch_size) == numbers
    assert decisions(given.training, config, images) == line
    assert with_length(config, 1) == config


def test_a_single_task_run_trains_for_as_many_epochs_as_what_it_is_compared_with() -> None:
    words = ["--data.name", "scenes", "--data.size", "16,16", "--data.scenes_train", "12", "--data.regime", "one"]
    for tasks in (["--tasks", "depth"], []):
        found = {
            objective: run_data(parse_config([*words, *tasks, "--objective", objective], {}))
            for objective in ("stl", "supervised")
        }
        assert found["stl"].images == 12
        assert found["supervised"].images == len(found["supervised"].train) == (3 if tasks else 12)


@pytest.mark.parametrize("images", [1, 7, 16, 50, 64, 99, 100, 101, 552, 1000, 1001, 100_000])
def test_any_number_of_images_gets_a_sane_training(images: int) -> None:
    epochs, batch_size = suited_epochs(images), suited_batch_size(images)
    assert 30 <= epochs <= 100
    assert epochs in (30, 100) or 0.9 < epochs * images / 30_000 < 1.1
    assert images < 16 or images // batch_size >= 4
    assert images < 64 or images // batch_size >= 8


def test_what_needs_a_number_says_so() -> None:
    assert decided(3) == 3
    for word in ("auto", "short"):
        with pytest.raises(UserError, match=f"give numbers, not {word}"):
            decided(word)
