from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mtpsl.evaluation.evaluate import Evaluator, evaluate
from mtpsl.evaluation.resume import InterruptedEvaluation
from mtpsl.structures import Batch, Output
from mtpsl.tasks import TASKS, MultiLabel, Segmentation, Task

NEEDED = {Segmentation: {"num_classes": 4}, MultiLabel: {"class_names": ["a", "b"]}}
ALL: list[Task] = [kind(**NEEDED.get(kind, {})) for kind in TASKS.values()]


class Fixed(nn.Module):
    """Predicts what a seeded convolution gives."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.heads = nn.ModuleDict({task.name: nn.Conv2d(3, task.out_channels, 3, padding=1) for task in ALL})

    def forward(self, images: Tensor) -> Output:
        return Output({name: head(images) for name, head in self.heads.items()}, [images])


@pytest.fixture(autouse=True)
def kept_at_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtpsl.evaluation.resume.SECONDS", 0.0)


def batches() -> list[Batch]:
    generator = torch.Generator().manual_seed(1)
    made = []
    for number in range(4):
        image = torch.rand(2, 3, 16, 16, generator=generator)
        targets, valid = {}, {}
        for task in ALL:
            spec = task.target_spec
            values = torch.rand((2, *spec.shape(16, 16)), generator=generator)
            targets[task.name] = (values > 0.5).to(spec.dtype) if task.name != "depth" else values + 0.5
            valid[task.name] = torch.rand(2, 16, 16, generator=generator) > 0.1
        made.append(Batch((f"{number}a", f"{number}b"), image, targets, valid))
    return made


class KilledError(Exception):
    pass


def run(kept: InterruptedEvaluation, killed_before: int | None = None) -> tuple[dict[str, dict[str, float]], int]:
    """The scores, and the first batch that was run."""
    evaluator = Evaluator(ALL)
    done = kept.take_up(evaluator, 8)

    def left() -> Iterator[Batch]:
        for number, batch in enumerate(batches()):
            if number == killed_before:
                raise KilledError
            if 2 * number >= done:
                yield batch

    scores = evaluate(Fixed(), ALL, kept.keeping(left(), evaluator, done), evaluator)
    return {task: {name: score.value for name, score in values.items()} for task, values in scores.items()}, done


def test_a_killed_evaluation_goes_on_and_gives_exactly_the_same_scores(tmp_path: Path) -> None:
    expected, done = run(InterruptedEvaluation(tmp_path / "a", "val", {}))
    assert done == 0
    with pytest.raises(KilledError):
        run(InterruptedEvaluation(tmp_path / "b", "val", {"epoch": 3}), killed_before=3)
    kept = InterruptedEvaluation(tmp_path / "b", "val", {"epoch": 3})
    scores, done = run(kept)
    assert done == 4
    assert scores == expected
    kept.remove()
    assert not (tmp_path / "b").exists()


def test_only_the_same_evaluation_is_taken_up(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        run(InterruptedEvaluation(tmp_path, "val", {"epoch": 3}), killed_before=3)
    assert InterruptedEvaluation(tmp_path, "val", {"epoch": 4}).take_up(Evaluator(ALL), 8) == 0
    assert InterruptedEvaluation(tmp_path, "test", {"epoch": 3}).take_up(Evaluator(ALL), 8) == 0
    same = InterruptedEvaluation(tmp_path, "val", {"epoch": 3})
    assert same.take_up(Evaluator(ALL), 4) == 0  # all of four images: there would be nothing to go on with
    assert same.take_up(Evaluator(ALL[:2]), 8) == 4
    assert same.take_up(Evaluator([Segmentation(num_classes=5)]), 8) == 0
    same.path.write_bytes(same.path.read_bytes()[:100])
    assert same.take_up(Evaluator(ALL), 8) == 0


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = InterruptedEvaluation(tmp_path / "file", "val", {})
    scores, _ = run(kept)
    assert scores
    kept.remove()
