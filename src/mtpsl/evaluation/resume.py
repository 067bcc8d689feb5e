"""An evaluation that was interrupted goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mtpsl.evaluation.evaluate import Evaluator
from mtpsl.files import write_atomically
from mtpsl.structures import Batch, ScoredBatch
from mtpsl.tensor_files import save_tensors

SECONDS = 20.0
"""How long to count before the file is written again."""


class InterruptedEvaluation:
    """What an evaluation counted so far, in a file, so that it can go on after a kill with exactly the same scores.

    The file is removed at the end. Where it cannot be written, the evaluation runs without.

    Args:
        folder: where the file lies.
        name: its beginning.
        described_by: plain values; counts are only taken up by an evaluation for which all are the same.
    """

    def __init__(self, folder: Path, name: str, described_by: Mapping[str, object]) -> None:
        text = json.dumps(described_by, sort_keys=True, default=str)
        self.path = folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.pt"
        self.written = time.monotonic()
        self.writable = True

    def take_up(self, evaluator: Evaluator, total: int) -> int:
        """Put what was counted into the evaluator; the number of images that this was, of `total`."""
        try:
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
            images, counts = int(kept["images"]), kept["counts"]
            for task in evaluator.tasks:
                if forms(counts[task.name]) != forms(evaluator.metric(task).metric_state):
                    return 0
        except Exception:  # missing, cut off or foreign: there is nothing to lose
            return 0
        if not 0 < images < total:
            return 0
        for task in evaluator.tasks:
            metric = evaluator.metric(task)
            for name, value in counts[task.name].items():
                setattr(metric, name, value.to(metric.device))
        return images

    def keep(self, evaluator: Evaluator, images: int) -> None:
        """Write what was counted after so many images, unless that was done just now."""
        if not self.writable or time.monotonic() < self.written + SECONDS:
            return
        counts = {task.name: evaluator.metric(task).metric_state for task in evaluator.tasks}
        try:
            write_atomically(self.path, partial(save_tensors, {"images": images, "counts": counts}))
        except OSError:
            self.writable = False
        self.written = time.monotonic()

    def keeping(
        self, batches: Iterable[Batch | ScoredBatch], evaluator: Evaluator, images: int
    ) -> Iterator[Batch | ScoredBatch]:
        """The batches; what was counted is kept between them, when `images` were counted before the first."""
        for number, batch in enumerate(batches):
            if number:
                self.keep(evaluator, images)
            yield batch
            images += len(batch)

    def remove(self) -> None:
        """The evaluation is through."""
        with suppress(OSError):
            self.path.unlink()
            self.path.parent.rmdir()  # unless another one's file lies there


def forms(counts: Mapping[str, Any]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shape and type of every count."""
    return {name: (value.shape, value.dtype) for name, value in counts.items()}
