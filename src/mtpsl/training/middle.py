"""Checkpoints in the middle of an epoch: every so many minutes, and when the process is asked to end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn

from mtpsl.errors import StoppedError
from mtpsl.phrases import resuming
from mtpsl.processes import gather_from_processes, is_distributed
from mtpsl.training.callbacks import save_in_place
from mtpsl.training.continued import MIDDLE
from mtpsl.training.module import TrainingModule
from mtpsl.training.random_state import random_state, set_random_state
from mtpsl.training.run_folder import RunFolder

SIGNALS = (signal.SIGTERM, signal.SIGUSR1) if hasattr(signal, "SIGUSR1") else (signal.SIGTERM,)
"""What asks a run to save and end: a machine that is taken away, or a cluster shortly before (`--signal=USR1@60`)."""


class MiddleCheckpoint(Checkpoint):
    """Replaces checkpoints/middle.ckpt in one step in the middle of an epoch, and continues from one.

    checkpoints/last.ckpt stays what it is: the state after the last complete epoch, which is scored, exported and
    predicted from. A middle checkpoint also holds what that one does not need: the losses of the epoch so far, and of
    each process the generators of random numbers and what its modules counted (`per_process`).

    Args:
        folder: the run.
        minutes: between two such checkpoints; 0 for none but when a signal asks the run to end.
        require_finite: called before a checkpoint is written; raises where a loss was not finite.
    """

    def __init__(
        self, folder: RunFolder, minutes: float, require_finite: Callable[[lightning.Trainer, TrainingModule], None]
    ) -> None:
        super().__init__()
        self.folder, self.seconds, self.require_finite = folder, 60 * minutes, require_finite
        self._asked, self._saved = 0, time.monotonic()
        self._batches: int | None = None
        self._stored: Mapping[str, Any] | None = None
        self._group: Any = None

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember what a middle checkpoint holds, until training starts."""
        self._stored = checkpoint.get(MIDDLE)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Listen to signals, and go on where a middle checkpoint stands."""
        assert isinstance(pl_module, TrainingModule)
        if threading.current_thread() is threading.main_thread():  # Lightning puts the old ones back
            for number in SIGNALS:
                signal.signal(number, self._ask)
        if is_distributed():  # beside a GPU's steps, which need not wait for this
            self._group = torch.distributed.new_group(backend="gloo")
        self._saved = time.monotonic()
        if self._stored is None:
            return
        stored, self._stored = self._stored, None
        own = stored["processes"][trainer.global_rank]
        pl_module.continue_epoch(int(stored["batches"]))
        if trainer.is_global_zero:
            pl_module.means.load_state_dict(stored["means"], pl_module.device)
        restore_per_process(pl_module, own["counted"], pl_module.device)
        set_random_state(own["random"], pl_module.device)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time, after a step of the optimizer; the last step of an epoch has a checkpoint of its own."""
        assert isinstance(pl_module, TrainingModule)
        done = batch_idx + 1
        if done % trainer.accumulate_grad_batches or done >= trainer.num_training_batches:
            return
        asked, due = self._agree(self.seconds > 0 and time.monotonic() - self._saved >= self.seconds)
        if asked or due:
            self.save(trainer, pl_module, done)
        if asked:
            where = f"epoch {trainer.current_epoch + 1}, step {done}"
            raise StoppedError(
                f"stopped by {signal.Signals(asked).name}: {resuming(self.folder.path)} continues after {where}"
            )

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The epoch's own checkpoint is written: the middle one is over."""
        if trainer.is_global_zero:
            self.folder.middle.unlink(missing_ok=True)
        self._saved = time.monotonic()
        asked, _ = self._agree(False)
        if asked:
            epoch = trainer.current_epoch + 1
            name = signal.Signals(asked).name
            raise StoppedError(f"stopped by {name}: {resuming(self.folder.path)} continues after epoch {epoch}")

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what the middle of an epoch needs."""
        assert isinstance(pl_module, TrainingModule)
        if self._batches is None:
            return
        own = {"random": random_state(pl_module.device), "counted": per_process(pl_module)}
        checkpoint[MIDDLE] = {
            "batches": self._batches,
            "means": pl_module.means.state_dict(),
            "processes": gather_from_processes(own),
        }

    def save(self, trainer: lightning.Trainer, module: TrainingModule, batches: int) -> None:
        """Write the checkpoint of an epoch whose first `batches` batches are done; all processes have to call it.

        Weights that are not finite are not worth it: the next step finds them and says so.
        """
        self.require_finite(trainer, module)
        finite = torch.stack([x.detach().isfinite().all() for x in module.parameters()]).all()
        self._saved = time.monotonic()
        if not all(gather_from_processes(bool(finite))):
            return
        self._batches = batches
        save_in_place(trainer, self.folder.middle)
        self._batches = None

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = number

    def _agree(self, due: bool) -> tuple[int, bool]:
        """What is asked of any process, and whether the first one finds it due: the same in all."""
        if self._group is None:
            return self._asked, due
        flags = torch.tensor([self._asked, int(due and torch.distributed.get_rank() == 0)])
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX, group=self._group)
        asked, found = flags.tolist()
        return int(asked), bool(found)


def per_process(module: nn.Module) -> dict[str, Tensor]:
    """What the parts of a module counted in this process since it was last added up, by name."""
    found = {}
    for name, part in module.named_modules():
        for attribute in getattr(type(part), "per_process", ()):
            if (value := getattr(part, attribute)) is not None:
                found[f"{name}.{attribute}"] = value.detach().cpu()
    return found


def restore_per_process(module: nn.Module, found: Mapping[str, Tensor], device: torch.device) -> None:
    """Go on with what was counted."""
    for name, value in found.items():
        part, _, attribute = name.rpartition(".")
        setattr(module.get_submodule(part), attribute, value.to(device))
