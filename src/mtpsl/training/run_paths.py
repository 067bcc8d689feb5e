"""Where the files of a run lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunPaths:
    """The paths in the folder of a run; not every run has every file."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def checkpoint(self) -> Path:
        """The state after the last complete epoch."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def middle(self) -> Path:
        """The state in the middle of the epoch after that one, while there is one."""
        return self.path / "checkpoints" / "middle.ckpt"

    @property
    def failure(self) -> Path:
        """The step that the run stopped at because its loss was not finite."""
        return self.path / "failure.pt"

    @property
    def best(self) -> Path:
        """The state after the epoch with the best validation scores (`training.keep_best`)."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def best_scores(self) -> Path:
        """The scores of that epoch."""
        return self.path / "scores_best.json"

    @property
    def scores(self) -> Path:
        """The scores of the last validated epoch."""
        return self.path / "scores.json"

    @property
    def images(self) -> Path:
        """How large the pictures of the training were, so that others can be seen as they were."""
        return self.path / "images.json"

    @property
    def tasks(self) -> Path:
        """The tasks, so that the network can be used where the data set is not."""
        return self.path / "tasks.json"
