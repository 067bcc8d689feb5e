"""Where a run begins: at its own last checkpoint, with the weights of another run, or from nothing."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from mtpsl.errors import UserError
from mtpsl.objectives import Objective
from mtpsl.phrases import command
from mtpsl.tasks import Task
from mtpsl.training.config import RunConfig
from mtpsl.training.continued import batches_done, cut_otherwise, epochs_done
from mtpsl.training.nodes import writes_run
from mtpsl.training.run_folder import RunFolder
from mtpsl.training.trained import load_weights
from mtpsl.weighting import Weighting


@dataclass(frozen=True)
class Beginning:
    """Where a run begins.

    Attributes:
        folder: the run's.
        checkpoint: its last checkpoint, if it is continued and has one.
        stored: what the checkpoint holds.
        other: the run whose weights it begins with (`training.start_from`).
        known: the run in whose order its tasks are.
    """

    folder: RunFolder
    checkpoint: Path | None = None
    stored: dict[str, Any] = field(default_factory=dict)
    other: RunFolder | None = None
    known: RunFolder | None = None

    @classmethod
    def find(cls, folder: RunFolder, config: RunConfig, *, resume: bool) -> Beginning:
        """Look for checkpoints.

        Raises:
            UserError: one cannot be read.
        """
        last = folder.load_checkpoint() if resume and folder.checkpoint.exists() else {}
        middle = folder.load_checkpoint("middle") if resume and folder.middle.exists() else {}
        if middle and (not last or epochs_done(middle) >= epochs_done(last)):  # else of an epoch that is complete
            if not (changed := cut_otherwise(middle, config)):
                return cls(folder, folder.middle, middle, known=folder)
            if writes_run(config.training):
                print(
                    f"{folder.path}: epoch {epochs_done(middle) + 1} begins anew: {' and '.join(changed)} decide which "
                    "images a step sees, and differ from those of the part that is done",
                    file=sys.stderr,
                )
        if last:
            return cls(folder, folder.checkpoint, last, known=folder)
        given = config.training.start_from
        other = None if given is None else RunFolder(Path(given))
        return cls(folder, other=other, known=folder if resume else other)

    @property
    def epoch(self) -> int:
        """How many whole epochs the checkpoint was trained for."""
        return epochs_done(self.stored)

    @property
    def batches(self) -> int:
        """How many batches of the next epoch it was trained for."""
        return batches_done(self.stored)

    def in_order(self, tasks: list[Task]) -> list[Task]:
        """The tasks in the order in which the objective knows them; unchanged where the known run has others."""
        if self.known is None:
            return tasks
        self.known.read_config()  # says so where it is no run
        names = [task.name for task in self.known.read_tasks()]
        if sorted(names) != sorted(task.name for task in tasks):
            return tasks
        return sorted(tasks, key=lambda task: names.index(task.name))

    def load(
        self, config: RunConfig, tasks: list[Task], network: nn.Module, objective: Objective, weighting: Weighting
    ) -> None:
        """Fill network, objective and weighting with what is stored of them; of another objective nothing.

        Raises:
            UserError: it is of other tasks, or cannot be continued.
        """
        if self.checkpoint is not None:
            if "optimizer_states" not in self.stored:
                path = self.folder.path
                raise UserError(
                    f"{path} has no optimizer to continue with: train a new run from its weights with "
                    f"`{command('train', self.folder.config, '--training.start_from', path)} --out NEW`"
                )
            load_weights(self.folder, self.stored, tasks, network, objective, weighting)
        elif self.other is not None:
            same = self.other.read_config().objective == config.objective
            load_weights(self.other, self.other.load_checkpoint(), tasks, network, objective if same else None)
