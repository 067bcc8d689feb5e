"""The epoch with the best validation scores: kept beside the last one, and when to stop waiting for a better one."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from mtpsl.evaluation.improvement import mean_improvement
from mtpsl.evaluation.scores import Scores
from mtpsl.files import write_atomically, write_text
from mtpsl.structures import Score
from mtpsl.training.module import TrainingModule
from mtpsl.training.run_folder import RunFolder
from mtpsl.training.settings import TrainingSettings


class BestEpoch(Callback):
    """Follows the mean relative improvement of the validation scores over those of the run's first validation.

    Lightning's own ModelCheckpoint forgets the best score where a run folder has moved, and its EarlyStopping that it
    has stopped; what is known here is part of the checkpoint and goes on exactly. It has to be called before what
    writes scores and checkpoint.

    Args:
        folder: the run.
        settings: whether to keep the best epoch's checkpoint, and after how many validations to stop.
    """

    def __init__(self, folder: RunFolder, settings: TrainingSettings) -> None:
        self.folder, self.keep, self.patience = folder, settings.keep_best, settings.patience
        self.first: Scores | None = None
        self.improvement, self.epoch, self.waited = float("-inf"), 0, 0

    @property
    def stopped(self) -> bool:
        """Whether so many validations gave nothing better that training ends."""
        return self.patience is not None and self.waited >= self.patience

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Make up for what a run left undone that was killed when its checkpoint was just written; stay stopped."""
        self.catch_up(trainer)
        trainer.should_stop = self.stopped

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Make up for it where that checkpoint was the last one, so that no epoch was left to train."""
        self.catch_up(trainer)

    def catch_up(self, trainer: lightning.Trainer) -> None:
        """Keep the checkpoint that is there, if it is the best so far."""
        if self.epoch and self.epoch == trainer.current_epoch and trainer.is_global_zero:
            self.copy(self.epoch)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Judge the scores of an epoch that was validated."""
        assert isinstance(pl_module, TrainingModule)
        scores, epoch = pl_module.scores, trainer.current_epoch + 1
        if scores is None:
            return
        improvement = mean_improvement(scores, self.first or scores)
        if self.first is None:
            if math.isnan(improvement):  # nothing that later scores could be compared with
                return
            self.first = scores
        better = improvement > self.improvement
        self.waited = 0 if better else self.waited + 1
        if better:
            self.improvement, self.epoch = improvement, epoch
        if self.stopped and epoch < (trainer.max_epochs or 0):
            trainer.should_stop = True
            if trainer.is_global_zero:
                print(
                    f"stopped after epoch {epoch}: the last {self.waited} validations were no better than that of "
                    f"epoch {self.epoch}",
                    file=sys.stderr,
                )

    def copy(self, epoch: int) -> None:
        """Keep the checkpoint and the scores just written, if `epoch` is the best so far."""
        if not self.keep or epoch != self.epoch:
            return
        write_atomically(self.folder.best, lambda temporary: link(self.folder.checkpoint, temporary))
        content = json.loads(self.folder.scores.read_text(encoding="utf-8"))
        content["run"].pop("complete", None)
        content |= {"improvement": self.improvement}
        write_text(self.folder.best_scores, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def state_dict(self) -> dict[str, Any]:
        """All of it, in plain values."""
        scores = self.first or {}
        first = {task: {name: astuple(x) for name, x in values.items()} for task, values in scores.items()}
        return {"first": first, "improvement": self.improvement, "epoch": self.epoch, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        first: dict[str, dict[str, tuple[float, str, bool]]] = state_dict["first"]
        scores = {task: {name: Score(*x) for name, x in values.items()} for task, values in first.items()}
        self.first = scores or None
        self.improvement, self.epoch, self.waited = (state_dict[name] for name in ("improvement", "epoch", "waited"))


def stopped_early(checkpoint: Mapping[str, Any], settings: TrainingSettings) -> bool:
    """Whether the run of a checkpoint waits no longer for better scores."""
    state = checkpoint.get("callbacks", {}).get(BestEpoch.__qualname__, {})
    return settings.patience is not None and int(state.get("waited", 0)) >= settings.patience


def link(source: os.PathLike[str], target: os.PathLike[str]) -> None:
    """A second name of a file, or a copy where the file system has no such names."""
    os.unlink(target)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
