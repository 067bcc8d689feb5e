"""`mtpsl demo`: the main job on built-in data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtpsl.commands.parsing import make_parser, parse
from mtpsl.commands.spinner import loading
from mtpsl.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from mtpsl.training.run_folder import RunFolder

RUNS = {
    "supervised": ["--objective", "supervised"],
    "cross_task": ["--objective", "cross_task"],
    "all_labels": ["--objective", "supervised", "--data.regime", "full", "--label", "supervised, all labels"],
}
"""The runs of the demo and what differs from its recipe: one label per image twice, and what all labels would give."""

EXPLANATION = """
supervised and cross_task saw the same images, one label each, for the same number of steps; the third run shows what \
three times the labels would give. A run this short shows that everything works, not which method is better: \
differences between methods change with --seed (benchmarks/ has longer runs, several seeds)."""


def demo(arguments: Sequence[str]) -> None:
    """Parse `[options]`, train on scenes with one label per image and with all, print table and pictures."""
    parser = make_parser(
        "demo",
        "Train supervised and cross_task on built-in scenes in which every image carries ONE of three labels, and "
        "supervised on all labels, and compare them. Run it again to continue where it stopped, or to see the table "
        "once more.",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="the folder for the runs")
    parser.add_argument("--epochs", type=int | None, default=None, help="passes over the images; more takes longer")
    parser.add_argument("--seed", type=int | None, default=None, help="seed of weights, labels and order (default 0)")
    values = parse(parser, arguments)

    from rich.console import Console

    with loading():
        from mtpsl.data.scenes import render_once
        from mtpsl.evaluation.compare import compare
        from mtpsl.evaluation.tables import print_table
        from mtpsl.training.report import write_report

    console = Console()
    with render_once():  # three runs and the report show the same rooms
        train_runs(values.out, {"epochs": values.epochs, "seed": values.seed}, console)
        folders = [values.out / method for method in RUNS]
        print_table(compare(folders), console, metrics="all")
        console.print(EXPLANATION)
        console.print(f"Look at {values.out}/*/pictures/sheets")
        console.print(f"Mapped features: {values.out}/cross_task/pictures/mapped")
        console.print("Next, a folder of your own: mtpsl check DATA; mtpsl train --data.root DATA --out RUN")
        page = write_report(folders, values.out / "report.html", overwrite=True)
        console.print(f"All of it on one page, to open in a browser: {page}")


def train_runs(out: Path, wanted: Mapping[str, int | None], console: Console) -> None:
    """Train what is not trained yet.

    Args:
        out: the folder for the runs.
        wanted: options of training that were given.
        console: says which run is trained.

    Raises:
        UserError: a run was begun with other options.
    """
    from mtpsl.commands.recipes import find_recipe
    from mtpsl.training.config import parse_config, read_options
    from mtpsl.training.run import train
    from mtpsl.training.run_folder import RunFolder

    stored = read_options(find_recipe("demo"))
    for method, words in RUNS.items():
        folder = RunFolder(out / method)
        check_same(folder, wanted)
        if folder.finished():
            console.print(f"{method}: done before, in {folder.path}")
            continue
        resume = folder.config.is_file()
        if resume:
            config = folder.read_config()
        else:
            given = [(f"--training.{name}", str(value)) for name, value in wanted.items() if value is not None]
            config = parse_config([*words, *(word for option in given for word in option)], stored)
        labels = "one label per image" if config.data.regime == "one" else "all labels"
        console.print(f"{method}: {config.training.epochs} epochs, {labels}, into {folder.path}")
        train(config, folder.path, resume=resume)


def check_same(folder: RunFolder, wanted: Mapping[str, int | None]) -> None:
    """Refuse options that a run that is there already was not begun with.

    Raises:
        UserError: one differs.
    """
    if not folder.config.is_file():
        return
    training = folder.read_config().training
    for name, value in wanted.items():
        if value is not None and value != getattr(training, name):
            raise UserError(
                f"{folder.path} was begun with {name} {getattr(training, name)}, not {value}: choose another --out"
            )
