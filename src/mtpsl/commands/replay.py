"""`mtpsl replay`: the step that a run stopped at because its loss was not finite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtpsl.commands.parsing import add_trust_option, make_parser, parse
from mtpsl.commands.spinner import loading

if TYPE_CHECKING:
    from rich.table import Table

    from mtpsl.training.replay import Replayed


def replay(arguments: Sequence[str]) -> None:
    """Parse `RUN`, repeat the step, print what it was made of."""
    parser = make_parser(
        "replay",
        "Training stops where the loss is not finite, and keeps that step in the run folder (failure.pt). This "
        "repeats it, on the CPU to the bit, and prints every image's losses, every term, and what is not finite: "
        "weights, images, labels, predictions, losses, in the order in which one follows from the other.",
    )
    parser.add_argument("run", type=Path, help="the folder of a run that stopped so")
    add_trust_option(parser)
    values = parse(parser, arguments)

    from rich.console import Console

    with loading():
        from mtpsl.plugins import trust_from_here
        from mtpsl.training.replay import replay as repeat
        from mtpsl.training.run_folder import RunFolder

    trust_from_here(values.trust_code)
    found = repeat(RunFolder(values.run))
    console = Console()
    console.print(as_table(found))
    for name, value in found.terms.items():
        console.print(f"{name}: {value:.6g}", highlight=False)
    if not found.same:
        console.print("not to the bit what it was in training: another device, or weights of the last checkpoint")
    console.print(f"not finite: {', '.join(found.wrong) or 'nothing'}", soft_wrap=True, highlight=False)


def as_table(found: Replayed) -> Table:
    """The losses of every image."""
    from rich.table import Table
    from rich.text import Text

    table = Table("image", title=f"epoch {found.epoch}, step {found.step}: losses by image")
    for name in found.losses:
        table.add_column(name, justify="right")
    for index, key in enumerate(found.keys):
        values = [losses[index] for losses in found.losses.values()]
        table.add_row(Text(key), *("" if value is None else f"{value:.4g}" for value in values))
    return table
