"""The commands that are killed, and the data, runs and tables that they work on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from killed_process import last_line, run, words_run

Words = list[str]
NETWORK = ["--network", "segnet", "--network.width", "0.0625"]
TRAINING = ["--training.batch_size", "4", "--training.precision", "32", "--training.channels_last", "false"]
TRAIN = [
    *["train", *NETWORK, "--objective", "cross_task", "--objective.mapping.width", "0.0625"],
    *["--data.root", "../inputs/data", "--data.regime", "one", *TRAINING, "--training.epochs", "3"],
    *["--training.checkpoint_minutes", "0.0001", "--training.sheets", "1", "--training.accelerator", "cpu"],
    *["--quiet", "--out", "run"],
]
TABLE = {
    "title": "Killed",
    "regimes": ["one"],
    "options": {
        "data": {"root": "../inputs/data"},
        "network": {"name": "segnet", "width": 0.0625},
        "training": {"epochs": 2, "batch_size": 4, "precision": "32", "sheets": 0, "report": False}
        | {"checkpoint_minutes": 0.0001, "accelerator": "cpu"},
    },
    "methods": ["supervised", {"objective": "cross_task", "objective.mapping.width": 0.0625}],
    "seeds": [0],
}


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Args:
        words: what is typed in a new folder, beside `inputs`.
        again: what is typed to continue, given that folder.
        copied: what of `inputs` is copied into the folder before: what the command changes.
        orphans: whether it starts processes that may outlive it, which then are killed with it in two of three trials.
    """

    words: Words
    again: Callable[[Path], Words] | None = None
    copied: tuple[str, ...] = ()
    orphans: bool = False

    def next(self, work: Path) -> Words:
        """What is typed in the folder as it is."""
        return self.again(work) if self.again else self.words


def train_or_resume(work: Path) -> Words:
    """`mtpsl train` as it was, or `--resume` once the run has begun."""
    return ["train", "--resume", "run", "--quiet"] if (work / "run" / "config.yaml").is_file() else TRAIN


CASES = {
    "train": Case(TRAIN, train_or_resume),
    "convert": Case(["convert", "../inputs/data", "converted"]),
    "convert to folder": Case(["convert", "../inputs/data", "converted", "--to", "folder", "--size", "48,64"]),
    "evaluate": Case(
        ["evaluate", "run", "--json", "scores.json", "--sheets", "2", "--batch_size", "1"], copied=("run",)
    ),
    "autolabel": Case(["autolabel", "../inputs/run", "../inputs/partial", "--out", "labelled"]),
    "sweep": Case(["sweep", "../inputs/table.yaml", "--out", "table", "--jobs", "2"], orphans=True),
}


def prepare(place: Path, names: Sequence[str]) -> None:
    """The inputs that the cases share: a small data set, one with labels missing, a trained run, a table."""
    inputs = place / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    (inputs / "table.yaml").write_text(yaml.safe_dump(TABLE))
    log = place / "inputs.log"

    def make(*words: str) -> None:
        if run(words_run(words), inputs, log).status:
            raise SystemExit(f"mtpsl {' '.join(words)}: {last_line(log)} ({log})")

    if not (inputs / "data").exists():
        make("scenes", "data", "--train", "16", "--val", "8", "--size", "32,48")
    if {"autolabel", "evaluate"} & {*names} and not (inputs / "run" / "scores.json").exists():
        shutil.rmtree(inputs / "run", ignore_errors=True)
        make(*[word.replace("../inputs/", "") for word in TRAIN], "--training.report", "false")
    if "autolabel" in names and not (inputs / "partial").exists():
        shutil.copytree(inputs / "data", inputs / "partial")
        for number, path in enumerate(sorted((inputs / "partial" / "train").glob("*/*.png"))):
            if path.parent.name != "image" and number % 2:
                path.unlink()
