"""`mtpsl distill`: several networks label what images lack, and one network learns from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtpsl.commands.spinner import loading
from mtpsl.commands.train import LESS_MEMORY, read_configuration, take_option, take_recipes
from mtpsl.errors import UserError
from mtpsl.phrases import command
from mtpsl.plugins import trust_from_here


def distill(arguments: Sequence[str]) -> None:
    """Parse `[RECIPE] --out FOLDER [--teachers N] [options of train]`, train teachers, label, train the student."""
    words = list(arguments)
    out, teachers = take_option(words, "--out"), take_option(words, "--teachers")
    quiet = "--quiet" in words
    trusted = "--trust-code" in words
    trust_from_here(trusted)
    words = [word for word in words if word not in ("--quiet", "--trust-code")]
    recipes = take_recipes(words)
    if {"-h", "--help", "--help-all"} & {*words}:
        print(HELP, end="")
        raise SystemExit(0)
    if out is None:
        raise UserError("--out is missing: name the folder to make, e.g. --out runs/distilled")
    if teachers is not None and not teachers.isdecimal():
        raise UserError(f"--teachers should be a whole number above 0, not {teachers!r}")

    from rich.console import Console

    with loading():
        from mtpsl.evaluation.compare import compare
        from mtpsl.evaluation.tables import print_table
        from mtpsl.training.distill import Distillation
        from mtpsl.training.malloc import memory_needed

    config = read_configuration(words, recipes, None)
    given = {} if teachers is None else {"teachers": int(teachers)}
    distillation = Distillation(config, Path(out), **given)
    with memory_needed(LESS_MEMORY):
        distillation.run(progress=not quiet, trust_code=trusted)
    student = distillation.student.path
    print_table(compare([*(folder.path for folder in distillation.teachers), student]), Console())
    print(f"next: {command('predict', student, 'PICTURES', '--out', 'DIR')}")


HELP = """\
usage: mtpsl distill [RECIPE] --data.root DATA --out FOLDER [--teachers 2] [--quiet] [options]

Train several networks (teachers) that differ by their seed, let their mean prediction fill the labels that images
lack, and train one network (the student) on that. The student is as fast as each teacher and can be better, as the mean
of several networks is; of short trainings it gained less than one that took as long (benchmarks/headroom.md). It takes
one training more than there are teachers, and a copy of the images. Given again, the command goes on where it was
stopped.

  RECIPE, options  as of `mtpsl train` (`mtpsl train --help` explains them): they hold for teachers and student
  --out FOLDER     gets teachers/0, teachers/1, ..., the data set `data` with what they predicted, and the run `student`
  --teachers N     how many teachers (2)
  --quiet          no progress bars
  --trust-code     as of `mtpsl train`

  mtpsl distill --data.root DATA --out runs/distilled
  mtpsl predict runs/distilled/student PICTURES --out DIR

The same in steps: `mtpsl train` with several --training.seed, `mtpsl autolabel RUN RUN DATA --out DATA2`, and
`mtpsl train` on DATA2.
"""
