"""Ensemble distillation: networks of several seeds label together what images lack, and one network learns from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from mtpsl.errors import UserError
from mtpsl.evaluation.scores import Scores
from mtpsl.files import write_text
from mtpsl.tasks.pseudo_labels import Confidence
from mtpsl.training.autolabel import autolabel
from mtpsl.training.autolabel.plan import missing_labels, open_to_fill, seen_by
from mtpsl.training.autolabel.write import check_apart
from mtpsl.training.config import RunConfig, read_options
from mtpsl.training.run import train
from mtpsl.training.run_folder import RunFolder
from mtpsl.training.trained import load

EVERYTHING = Confidence(probability=0.0, class_share=1.0, value_share=1.0)
"""Every pixel counts, as in benchmarks/headroom.md."""
RECORD = "distill.yaml"


class Distillation:
    """What is trained, and where it lies: `teachers/0`, `teachers/1`, ..., `data` and `student` in one folder.

    The teachers are the run of `config` with this seed and the next ones, all with the labels of the first. The student
    is the same run on the data set in which their mean prediction fills what those labels lack. It predicts as fast as
    each of them; all together take as long as one training more than there are teachers.

    Hinton, Vinyals, Dean: Distilling the knowledge in a neural network, 2015.

    Args:
        config: the run.
        out: the folder.
        teachers: how many of them.

    Raises:
        UserError: `out` holds something else, or was begun with other options; the data set is none whose labels can be
            filled, or lacks none.
    """

    def __init__(self, config: RunConfig, out: Path, *, teachers: int = 2) -> None:
        if teachers < 1:
            raise UserError(f"--teachers should be at least 1, not {teachers}")
        if config.objective == "stl":
            raise UserError("--objective stl trains a network per task: choose another one to distill")
        if config.training.processes > 1:
            raise UserError(
                "distill trains in one process: train teachers with `mtpsl train` on several devices (one "
                "--data.label_seed, other --training.seed), then label with `mtpsl autolabel RUN RUN DATA --hidden`"
            )
        if config.data.root is None:
            raise UserError("--data.root is missing: name the folder of images and labels")
        self.config, self.out = config, out
        self.root = Path(config.data.root)
        self.description = None if config.data.description is None else Path(config.data.description)
        self.hidden = config.data.regime != "full" or config.data.limit is not None
        self.teachers = [RunFolder(out / "teachers" / str(number)) for number in range(teachers)]
        self.data, self.student = out / "data", RunFolder(out / "student")
        self.check()

    def check(self) -> None:
        """Look at everything that can be wrong before hours of training, and write down what is asked for."""
        train, _ = open_to_fill(self.root, self.description, self.config.data.train_split)
        check_apart(self.root, self.out)
        images, kept = seen_by(self.config, train)
        names = self.config.tasks or [*train.tasks]
        if unknown := [name for name in names if name not in train.tasks]:
            raise UserError(f"--tasks: {self.root} has no {unknown[0]!r}, but {', '.join(train.tasks)}")
        missing_labels(train, names, images, kept)
        record = self.out / RECORD
        wanted = yaml.safe_load(yaml.safe_dump(self.asked))
        begun = any(folder.config.is_file() for folder in [*self.teachers, self.student])
        if record.is_file():
            if begun and read_options(record) != wanted:
                raise UserError(f"{self.out} was begun with other options: give those, or choose another --out")
        elif self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise UserError(f"{self.out} exists already and is no distillation: choose another --out")
        if not begun:
            write_text(record, yaml.safe_dump(wanted, sort_keys=False))

    @property
    def asked(self) -> dict[str, Any]:
        """What distill.yaml says."""
        return {"teachers": len(self.teachers), **self.config.to_dict()}

    def teacher(self, number: int) -> RunConfig:
        """The run of a teacher: its own seed, the labels of all."""
        training, data = self.config.training, self.config.data
        return replace(
            self.config,
            training=replace(training, seed=training.seed + number),
            data=replace(data, label_seed=training.seed if data.label_seed is None else data.label_seed),
        )

    def taught(self) -> RunConfig:
        """The run of the student: all labels of the filled data set."""
        data = replace(
            self.config.data,
            name="folder",
            root=str(self.data),
            description=None,
            regime="full",
            ratio=None,
            share=None,
            labels=None,
            label_seed=None,
            limit=None,
        )
        return replace(self.config, data=data, label=f"{self.config.method}, distilled")

    def run(self, *, progress: bool = True, say: Callable[[str], None] = print, trust_code: bool = False) -> Scores:
        """Do what is not done yet, and return the student's scores; interrupted, it goes on when it is called again.

        Args:
            progress: show progress bars.
            say: takes a line at the beginning of each part.
            trust_code: run code that dataset.yaml names, too, not only what the configuration does.
        """
        for number, folder in enumerate(self.teachers):
            say(f"teacher {number + 1} of {len(self.teachers)}: {folder.path}")
            train_to_the_end(self.teacher(number), folder, progress)
        say(f"labels that are missing: {self.data}")
        trusted = trust_code or bool(self.config.code)
        teachers = [load(folder.path, trust_code=trusted) for folder in self.teachers]
        counts = autolabel(
            teachers,
            self.root,
            self.data,
            description=self.description,
            tasks=self.config.tasks,
            confidence=EVERYTHING,
            hidden=self.hidden,
            progress=progress,
        )
        del teachers
        say("predicted " + ", ".join(f"{name} of {count}" for name, count in counts.items()) + " images")
        say(f"student: {self.student.path}")
        return train_to_the_end(self.taught(), self.student, progress)


def train_to_the_end(config: RunConfig, folder: RunFolder, progress: bool) -> Scores:
    """Train a run, go on with it, or give the scores of one that is done."""
    if folder.finished():
        return folder.read_scores()
    resume = folder.config.is_file()
    return train(folder.read_config() if resume else config, folder.path, resume=resume, progress=progress)
