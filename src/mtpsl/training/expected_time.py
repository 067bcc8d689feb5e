"""How long a training will take, said when its first steps are done."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

#: steps after which the time is said; the first one is not counted, since it warms up
STEPS = 3


class ExpectedTime(Callback):
    """Prints once, after three steps, how long the steps that are left will take.

    One line on the error stream, which a progress bar leaves standing. Validation comes on top and is not known yet.
    """

    def __init__(self) -> None:
        self.steps, self.start = 0, 0.0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the time of the steps after the first."""
        self.steps += 1
        if self.steps not in (1, STEPS) or not trainer.is_global_zero:
            return
        if pl_module.device.type != "cpu":
            torch.accelerator.synchronize()  # steps are only queued there
        now = time.perf_counter()
        if self.steps == 1:
            self.start = now
            return
        epochs = (trainer.max_epochs or 0) - trainer.current_epoch
        left = int(trainer.num_training_batches) * epochs - batch_idx - 1
        seconds = (now - self.start) / (STEPS - 1) * left
        print(
            f"expected: about {duration(seconds)} for {left} more steps ({epochs} epochs), without validation",
            file=sys.stderr,
        )


def duration(seconds: float) -> str:
    """A time in the two largest units that say something.

    >>> duration(12.3), duration(200), duration(12_000), duration(200_000)
    ('12 s', '3 min', '3 h 20 min', '2 days 8 h')
    """
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{hours // 24} days {hours % 24} h"
