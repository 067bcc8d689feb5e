"""`mtpsl train`: train a run, or continue it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtpsl.commands.recipes import find_recipe
from mtpsl.commands.spinner import loading
from mtpsl.errors import UserError
from mtpsl.launched import launched_first
from mtpsl.plugins import CODE, trust_from_here

if TYPE_CHECKING:
    from mtpsl.training.config import RunConfig

USUAL = "own_data"
"""The recipe of runs without one."""
LESS_MEMORY = (
    "a smaller --training.batch_size or --data.size needs less, and --data.cache none keeps no images in memory"
)


def train(arguments: Sequence[str]) -> None:
    """Parse `[RECIPE] [--out RUN | --resume RUN] [options]` and train."""
    words = list(arguments)
    out, resume = take_option(words, "--out"), take_option(words, "--resume")
    quiet = "--quiet" in words
    trust_from_here("--trust-code" in words)
    words = [word for word in words if word not in ("--quiet", "--trust-code")]
    recipes = take_recipes(words)

    with loading():
        from mtpsl.training.run_folder import RunFolder

    if {"-h", "--help", "--help-all"} & set(words):
        print(HELP, flush=True)
    if resume is not None:
        if recipes or out:
            raise UserError("--resume RUN takes its options from RUN/config.yaml: give no recipe, file or --out")
        if not RunFolder(Path(resume)).config.is_file():
            raise UserError(f"{resume} is not a run folder: it has no config.yaml")
    config = read_configuration(words, recipes, resume)
    if resume is not None:
        root = config.data.root
        if root is not None and not Path(root).exists():
            raise UserError(f"{resume}: its data is not at {root} any more: give its place now with --data.root DATA")
    elif out is None:
        raise UserError("--out is missing: name the folder to make for this run, e.g. --out runs/first")

    with loading():
        from mtpsl.training.malloc import memory_needed
        from mtpsl.training.nodes import writes_run
        from mtpsl.training.run import train as train_run

    folder = Path(resume if resume is not None else str(out))
    if resume is None and config.objective == "stl" and (config.tasks is None or len(config.tasks) != 1):
        train_each_task(config, folder, progress=not quiet)
        return
    before = modified(RunFolder(folder).checkpoint)
    with memory_needed(LESS_MEMORY):
        scores = train_run(config, folder, resume=resume is not None, progress=not quiet)
    if resume is not None and modified(RunFolder(folder).checkpoint) == before:
        print(f"{resume}: was trained to its last epoch already")
    if writes_run(config.training):
        report(scores, folder)


def read_configuration(words: Sequence[str], recipes: Sequence[str], resume: str | None) -> RunConfig:
    """What is to be trained: options over recipes, or over what the run to continue was trained with."""
    from mtpsl.training.config import overlaid, parse_config, read_options
    from mtpsl.training.from_here import from_here
    from mtpsl.training.own_code import anchored
    from mtpsl.training.without_recipe import without_recipe

    stored: dict[str, Any] = {}
    copies = None
    for path in [Path(resume) / "config.yaml"] if resume is not None else map(find_recipe, recipes):
        stored = overlaid(stored, anchored(read_options(path), path.parent))
        copies = path.parent / CODE
    if resume is None and not recipes:
        stored, note = without_recipe(read_options(find_recipe(USUAL)), words)
        if note is not None and launched_first():
            print(note, file=sys.stderr)
    where = resume or " and ".join(recipes) or "the recipe"
    others = ("out", "resume", "quiet", "trust-code")
    return from_here(parse_config(words, stored, others=others, where=where, copies=copies))


def train_each_task(config: RunConfig, folder: Path, *, progress: bool) -> None:
    """Train a network per task, in a run folder each."""
    from mtpsl.training.malloc import memory_needed
    from mtpsl.training.nodes import writes_run
    from mtpsl.training.run import train as train_run
    from mtpsl.training.run_data import run_data

    if folder.exists() and writes_run(config.training):
        raise UserError(f"{folder} exists already: choose another --out")
    names = [task.name for task in run_data(config).tasks]
    for name, single in [(name, config.single(name, names)) for name in names]:
        with memory_needed(LESS_MEMORY):
            scores = train_run(single, folder / name, progress=progress)
        if writes_run(config.training):
            report(scores, folder / name)


def modified(file: Path) -> int:
    """When a file was written; 0 where there is none."""
    return file.stat().st_mtime_ns if file.is_file() else 0


def report(scores: dict[str, Any], folder: Path) -> None:
    """Print the scores of the last epoch."""
    from mtpsl.commands.evaluate import print_scores
    from mtpsl.training.run_folder import RunFolder

    print_scores(scores, f"{folder}, last epoch")
    if (page := folder / "report.html").is_file():
        print(f"look at it in a browser: {page}")
    best = RunFolder(folder).best_scores
    if best.is_file():
        content = json.loads(best.read_text(encoding="utf-8"))
        print(f"best epoch: {content['epoch']}, kept for --checkpoint best (scores: {best})")


def take_recipes(words: list[str]) -> list[str]:
    """Remove `RECIPE` and every `--config FILE` from the words and return them, the one that decides last."""
    recipes = [words.pop(0)] if words and not words[0].startswith("-") else []
    while (file := take_option(words, "--config")) is not None:
        recipes.append(file)
    return recipes


def take_option(words: list[str], option: str) -> str | None:
    """Remove `--option value` or `--option=value` from the words and return the value."""
    for index, word in enumerate(words):
        if word == option:
            if index + 1 >= len(words):
                raise UserError(f"{option} needs a value")
            value = words[index + 1]
            del words[index : index + 2]
            return value
        if word.startswith(f"{option}="):
            del words[index]
            return word.split("=", 1)[1]
    return None


HELP = """\
usage: mtpsl train [RECIPE] [--out RUN] [--resume RUN] [--quiet] [options]

  RECIPE        a YAML file, or the name of a recipe that ships with the package (`mtpsl recipes`); without one the
                recipe own_data (`mtpsl recipes own_data` shows it)
  --out RUN     the folder to make for the run
  --config FILE the same as RECIPE; of several files a later one decides, and options decide over all
  --resume RUN  continue a run from where it was saved last, where its data lies now, with other options for the epochs
                left: `--data.root DATA`, `--training.epochs 50`, `--training.lr 1e-5` (docs/runs.md lists them)
  --quiet       no progress bar
  --help-all    explain every option, not only the most used ones
  --trust-code  run the files (FILE.py:Class) that a recipe, a run or a dataset.yaml names; one that this command itself
                names, as --objective my_file.py:MyObjective, needs none

  mtpsl train --data.root DATA --out runs/first
  mtpsl train --objective cross_task --data.root DATA --out runs/cross_task
  mtpsl train --objective stl --data.root DATA --out runs/single       (a network per task, for comparison)
"""
