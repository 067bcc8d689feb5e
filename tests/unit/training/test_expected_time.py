"""The time that a training will take is said once, from its own steps."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import Mock

import lightning
import pytest

from mtpsl.training import expected_time
from mtpsl.training.expected_time import ExpectedTime


def told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], batches: int, epochs: int, start: int = 0
) -> list[str]:
    """What is printed over a training whose first step takes 100 s and every other one 2 s."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(expected_time.time, "perf_counter", lambda: clock.now)
    callback, lines = ExpectedTime(), []
    module = lightning.LightningModule()
    for epoch in range(start, epochs):
        trainer = Mock(spec=lightning.Trainer, is_global_zero=True, max_epochs=epochs, current_epoch=epoch)
        trainer.num_training_batches = batches
        for batch in range(batches):
            clock.now += 2 if lines or callback.steps else 100
            callback.on_train_batch_end(trainer, module, None, None, batch)
            lines += [(epoch, batch, line) for line in capsys.readouterr().err.splitlines()]
    return lines


def test_it_follows_the_second_and_third_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # 200 x 44 - 3 steps of 2 s are 17594 s
    assert told(monkeypatch, capsys, batches=44, epochs=200) == [
        (0, 2, "expected: about 4 h 53 min for 8797 more steps (200 epochs), without validation")
    ]


def test_epochs_may_be_shorter_than_three_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(monkeypatch, capsys, batches=2, epochs=20) == [
        (1, 0, "expected: about 74 s for 37 more steps (19 epochs), without validation")
    ]
    assert told(monkeypatch, capsys, batches=2, epochs=1) == []


def test_a_continued_run_counts_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(monkeypatch, capsys, batches=10, epochs=200, start=190) == [
        (190, 2, "expected: about 3 min for 97 more steps (10 epochs), without validation")
    ]
