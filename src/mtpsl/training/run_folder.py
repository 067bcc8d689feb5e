"""The folder of a run: everything needed to continue, evaluate, predict from and compare it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from mtpsl.data.broken import read_broken
from mtpsl.errors import UserError, reason
from mtpsl.evaluation.scores import Scores, to_json
from mtpsl.files import remove_remains, write_text
from mtpsl.inference.sizes import TrainingSizes
from mtpsl.phrases import resuming
from mtpsl.plugins import CODE, CodeRecord, copy_code, names_code, title
from mtpsl.structures import Score
from mtpsl.tasks import Task, describe_task, make_task
from mtpsl.training.config import RunConfig, read_config, read_options
from mtpsl.training.environment import environment
from mtpsl.training.length import decided
from mtpsl.training.remains import strange_content
from mtpsl.training.run_paths import RunPaths

Which = Literal["last", "best"]
"""Which checkpoint of a run."""


class RunFolder(RunPaths):
    """The folder of a run: reads and writes its files."""

    def create(self, config: RunConfig, tasks: list[Task]) -> None:
        """Write what is known before training starts.

        Raises:
            UserError: the folder exists and holds something.
        """
        self.check_new()
        self.write(config, tasks)

    def write(self, config: RunConfig, tasks: list[Task]) -> None:
        """Write the same into a folder that may exist: of a run without a checkpoint, which begins anew.

        Raises:
            UserError: it cannot be written; then nothing is left of a folder that was not there before.
        """
        new = not self.path.exists()
        try:
            write_text(self.tasks, json.dumps([describe_task(task) for task in tasks], indent=2) + "\n")
            copy_code(config.code, self.path / CODE)
            write_text(self.path / "environment.json", json.dumps(environment(config), indent=2) + "\n")
            write_text(
                self.config, yaml.safe_dump(config.to_dict(), sort_keys=False)
            )  # last: it makes the folder a run
        except OSError as error:
            if new:
                shutil.rmtree(self.path, ignore_errors=True)
            raise UserError(f"{self.path} cannot be written: {reason(error)}") from error

    def update(
        self, config: RunConfig, changed: Mapping[str, tuple[Any, Any]], epoch: int, stopped: bool = False
    ) -> None:
        """Write what changes from an epoch on: config.yaml, what scores.json says of the run, and a list of changes.

        Args:
            config: the options to continue with.
            changed: old and new value of the options that differ from those of the epochs so far.
            epoch: how many there are.
            stopped: whether it waits no longer for better scores (`training.patience`).
        """
        if self.read_config().to_dict() != config.to_dict():
            write_text(self.config, yaml.safe_dump(config.to_dict(), sort_keys=False))
        place, content = self.path / "environment.json", {}
        with suppress(OSError, ValueError):
            content = json.loads(place.read_text(encoding="utf-8"))
        before = [entry for entry in content.get("changes", []) if entry["after_epoch"] < epoch]
        now = [{"after_epoch": epoch, "option": name, "from": a, "to": b} for name, (a, b) in changed.items()]
        if [*before, *now] != content.get("changes", []):
            write_text(place, json.dumps({**content, "changes": [*before, *now]}, indent=2) + "\n")
        if changed and self.scores.is_file():
            scores = json.loads(self.scores.read_text(encoding="utf-8"))
            epochs = decided(config.training.epochs)
            scores["run"] |= {"label": config.method, "regime": config.data.regime_name, "root": config.data.root}
            scores["run"] |= {
                "epochs": epochs,
                "complete": stopped or scores["epoch"] >= epochs,
                "stopped_early": stopped,
            }
            write_text(self.scores, json.dumps(scores, indent=2, allow_nan=False) + "\n")

    def finished(self, epochs: int = 0) -> bool:
        """Whether the run has the scores of its last epoch and was meant for `epochs`; it may have stopped early.

        One that was killed between these scores and its last checkpoint is not, nor before it removed the middle one.
        """
        try:
            scores = json.loads(self.scores.read_text(encoding="utf-8"))
            complete = scores["run"]["complete"] is True and scores["run"].get("epochs", 0) >= epochs
            return complete and not self.middle.exists() and self.trained_epochs() >= scores.get("epoch", 0)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def trained_epochs(self) -> float:
        """How many epochs the last checkpoint was trained for; infinite without one that can be read."""
        with suppress(UserError):
            return int(self.load_checkpoint()["epoch"]) + 1
        return math.inf

    def check_new(self) -> None:
        """Refuse a folder that exists and holds something.

        Raises:
            UserError: it does.
        """
        if strange_content(self.path):
            cure = (
                f"{resuming(self.path)} continues it, another --out begins a new run"
                if self.config.exists()
                else "choose another --out"
            )
            raise UserError(f"{self.path} exists already: {cure}")

    def tidy(self, checkpoint: Path | None) -> None:
        """Remove what a process left that was killed: half-written files, and the middle of an epoch that is over.

        Args:
            checkpoint: what the run is continued from; None for a new one.
        """
        remove_remains(self.path)
        if checkpoint != self.middle:
            self.middle.unlink(missing_ok=True)

    def read_config(self) -> RunConfig:
        """The configuration of an existing run."""
        if not self.config.is_file():
            raise UserError(f"{self.path} is not a run folder: it has no config.yaml")
        return read_config(self.config)

    def read_tasks(self) -> list[Task]:
        """The tasks of an existing run."""
        try:
            described = json.loads(self.tasks.read_text(encoding="utf-8"))
            own = any(names_code(one["type"]) for one in described)
            hashes = read_options(self.config).get(CODE, {}) if own else {}
            record = CodeRecord(str(self.tasks), hashes, self.path / CODE)
            return [make_task(description, record) for description in described]
        except UserError:
            raise
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{self.tasks}: cannot be read as the tasks of a run ({error})") from error

    def write_images(self, sizes: TrainingSizes) -> None:
        """Write how large the pictures were that it is trained on, and to which size they are brought."""
        write_text(self.images, json.dumps(asdict(sizes)) + "\n")

    def training_sizes(self) -> TrainingSizes | None:
        """How large the pictures were that it was trained on; None where the run does not say it."""
        for file, keys in ((self.images, ()), (self.scores, ("run", "image_size"))):
            try:
                stored = json.loads(file.read_text(encoding="utf-8"))
                for key in keys:
                    stored = stored[key]
                height, width = stored if keys else stored["size"]
                rows = () if keys else tuple((int(h), int(w), int(n)) for h, w, n in stored["stored"])
                return TrainingSizes((int(height), int(width)), rows)
            except (OSError, ValueError, KeyError, TypeError):
                continue
        size = self.read_config().data.size
        return None if size is None else TrainingSizes(size)

    def scored_root(self) -> str | None:
        """The folder of the data that the last scores are of; None where there are none, or none is known."""
        try:
            root = json.loads(self.scores.read_text(encoding="utf-8"))["run"]["root"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None if root is None else str(root)

    def read_scores(self) -> Scores:
        """The scores written last; none before the first."""
        try:
            stored = json.loads(self.scores.read_text(encoding="utf-8"))["scores"]
            return {
                task: {
                    name: Score(
                        float("nan" if x["value"] is None else x["value"]),
                        str(x["unit"]),
                        bool(x["higher_is_better"]),
                    )
                    for name, x in values.items()
                }
                for task, values in stored.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def checkpoint_file(self, which: Which = "last") -> Path:
        """The file of the last checkpoint or of the best."""
        return self.best if which == "best" else self.checkpoint

    def load_checkpoint(self, which: Which | Literal["middle"] = "last") -> dict[str, Any]:
        """The last checkpoint, the best or that in the middle of an epoch, read without executing anything.

        Raises:
            UserError: there is none, or it is not a checkpoint of this package.
        """
        file = self.middle if which == "middle" else self.checkpoint_file(which)
        if which == "best" and not file.is_file():
            raise UserError(f"{self.path} has no best checkpoint: training keeps one with --training.keep_best true")
        if not file.is_file():
            raise UserError(f"{self.path} has no checkpoint yet: {resuming(self.path)} trains it")
        try:
            # mapped: only what is used of it is read
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # torch raises a dozen kinds, depending on where a file is broken
            raise UserError(f"{file}: not a checkpoint that can be loaded safely; it is damaged or foreign") from error
        if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
            raise UserError(f"{file}: not a checkpoint of a training run")
        return content

    def write_scores(
        self,
        config: RunConfig,
        tasks: list[Task],
        scores: Scores,
        *,
        data: str,
        root: str | None,
        epoch: int,
        size: tuple[int, int],
        stopped: bool = False,
        which: Which = "last",
    ) -> None:
        """Write scores.json with what a comparison needs to know of the run, and the folder of the data scored.

        `stopped`: the run ends there, before its last epoch. The best epoch has a file of its own.
        """
        try:
            commit = json.loads((self.path / "environment.json").read_text(encoding="utf-8"))["commit"]
        except (OSError, ValueError, KeyError, TypeError):
            commit = ""
        run = {
            "label": config.method,
            "objective": title(config.objective),
            "weighting": title(config.weighting),
            "regime": config.data.regime_name,
            "seed": config.training.seed,
            "data": config.data.table_name(data),
            "root": root,
            "tasks": [task.name for task in tasks],
            "network": config.network_options.get("encoder", title(config.network)),
            "epochs": config.training.epochs,
            "image_size": list(size),
            "complete": stopped or epoch >= decided(config.training.epochs),
            "stopped_early": stopped,
            "commit": commit,
            **({"broken": broken} if (broken := len(read_broken(self.path))) else {}),
        }
        content = {"run": run, "split": config.data.val_split, "epoch": epoch, "scores": to_json(tasks, scores)}
        if which == "best":
            run.pop("complete")
            with suppress(OSError, ValueError, KeyError):
                content["improvement"] = json.loads(self.best_scores.read_text(encoding="utf-8"))["improvement"]
        file = self.best_scores if which == "best" else self.scores
        write_text(file, json.dumps(content, indent=2, allow_nan=False) + "\n")
