"""What happens around an epoch: history, scores, checkpoint."""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, Checkpoint, RichProgressBar
from lightning.pytorch.plugins.io import TorchCheckpointIO

from mtpsl.errors import UserError
from mtpsl.evaluation.scores import Scores
from mtpsl.files import naming, write_text
from mtpsl.tasks import Task
from mtpsl.tensor_files import save_tensors
from mtpsl.training.module import TrainingModule
from mtpsl.training.run_folder import RunFolder
from mtpsl.visualization.curves import draw_curves


class LogMeans(Callback):
    """Logs the means of an epoch's steps, for what writes them: it has to come first."""

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log."""
        assert isinstance(pl_module, TrainingModule)
        for name, mean in pl_module.means.compute().items():
            pl_module.log(name, mean, prog_bar=name == "loss", batch_size=1)


class History(Callback):
    """One row per epoch in metrics.csv; part of the checkpoint, so that a resumed run continues it without a gap.

    Args:
        folder: the run.
        on_scores: called with the epoch (counted from 1) when an epoch was validated.
    """

    def __init__(self, folder: RunFolder, on_scores: Callable[[TrainingModule, int], None]) -> None:
        self.folder, self.on_scores = folder, on_scores
        self.rows: list[dict[str, float]] = []
        self._start = self._lr = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock; note the learning rate before the schedule changes it."""
        self._start = time.perf_counter()
        self._lr = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the epoch's row."""
        assert isinstance(pl_module, TrainingModule)
        epoch = trainer.current_epoch + 1
        row = {"epoch": float(epoch), "lr": self._lr}
        row["seconds"] = time.perf_counter() - self._start
        metrics = sorted(trainer.callback_metrics.items())
        row |= {name: float(value) for name, value in metrics if is_of_this_epoch(name, pl_module)}
        if not math.isfinite(row["loss"]):
            before = f"; {self.folder.checkpoint} holds the epoch before" if self.folder.checkpoint.exists() else ""
            raise UserError(
                f"the loss is {row['loss']} after epoch {epoch}: lower --training.lr or set --training.clip, and train "
                f"anew{before}"
            )
        self.rows.append(row)
        if trainer.is_global_zero:
            write_text(self.folder.path / "metrics.csv", as_csv(self.rows))
            if pl_module.scores is not None:
                self.on_scores(pl_module, epoch)
                units = {task.name: task.score_types for task in pl_module.tasks}
                draw_curves(self.rows, units, self.folder.path / "curves.png", title=self.folder.path.name)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, and what the row of the epoch under way begins with."""
        return {"rows": self.rows, "begun": {"lr": self._lr, "seconds": time.perf_counter() - self._start}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue after these rows."""
        self.rows = list(state_dict["rows"])
        begun = state_dict.get("begun", {"lr": 0.0, "seconds": 0.0})
        self._lr, self._start = begun["lr"], time.perf_counter() - begun["seconds"]


class LastCheckpoint(Checkpoint):
    """Replaces checkpoints/last.ckpt in one step after every epoch.

    Lightning calls it after all other callbacks, so it holds the history of its own epoch.

    Args:
        folder: the run.
        record: what the checkpoint says of the run (`training.continued.record`).
        written: called with the epoch (counted from 1) when its checkpoint is in place.
    """

    def __init__(self, folder: RunFolder, record: Mapping[str, Any], written: Callable[[int], None]) -> None:
        super().__init__()
        self.folder, self.record, self.written = folder, dict(record), written

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the record."""
        checkpoint |= self.record

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save."""
        save_in_place(trainer, self.folder.checkpoint)
        if trainer.is_global_zero:
            self.written(trainer.current_epoch + 1)


def save_in_place(trainer: lightning.Trainer, file: Path) -> None:
    """Replace a checkpoint in one step; all processes have to call it.

    Raises:
        OSError: it cannot be written; the one before stays.
    """
    unfinished = file.with_name("unfinished.ckpt")
    with naming(file):
        trainer.save_checkpoint(unfinished)
        if trainer.is_global_zero:
            os.replace(unfinished, file)


class CheckpointFiles(TorchCheckpointIO):
    """Writes checkpoints where they belong; Lightning's own way fills the folder for temporary files first."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a file that is not there yet; nothing is left of one that cannot be written."""
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_tensors(checkpoint, file)
        except BaseException:
            file.unlink(missing_ok=True)
            raise


class ProgressBar(RichProgressBar):
    """Lightning's bar with the loss and the scores of the last validation beside it, without the logger's version."""

    scores = ""

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the scores."""
        if isinstance(pl_module, TrainingModule) and pl_module.scores is not None:
            self.scores = primary_scores(pl_module.tasks, pl_module.scores)
        super().on_train_epoch_end(trainer, pl_module)

    def get_metrics(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What stands beside the bar."""
        found = {name: x for name, x in super().get_metrics(trainer, pl_module).items() if name != "v_num"}
        return found | ({"validation": self.scores} if self.scores else {})


def primary_scores(tasks: Sequence[Task], scores: Scores) -> str:
    """The score of each task that counts in tables, short enough for one line.

    >>> from mtpsl.structures import Score
    >>> from mtpsl.tasks import Depth, Segmentation
    >>> found = {"segmentation": {"miou": Score(57.72, "%", True)}, "depth": {"abs_err": Score(0.3141, "m", False)}}
    >>> primary_scores([Segmentation(num_classes=3), Depth()], found)
    'mIoU 57.7 · depth 0.314 m'
    """
    words = []
    for task in tasks:
        score = scores[task.name][task.primary]
        name = "mIoU" if task.name == "segmentation" else task.name
        unit = "" if score.unit == "%" else f" {score.unit}"
        words.append(f"{name} {score.value:.3g}{unit}".rstrip())
    return " · ".join(words)


def is_of_this_epoch(name: str, module: TrainingModule) -> bool:
    """Scores only in the row of the epoch that was validated (Lightning keeps showing the old ones)."""
    return module.scores is not None or not name.startswith("val/")


def as_csv(rows: list[dict[str, float]]) -> str:
    """Rows as CSV; a column that a row lacks is empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    return text.getvalue()
