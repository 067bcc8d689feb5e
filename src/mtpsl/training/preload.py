"""Fill the caches before training."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import track

from mtpsl.training.malloc import without_holes
from mtpsl.training.run_data import RunData


def fill_caches(data: RunData, *, progress: bool, say: bool) -> None:
    """Read the images that fit into memory, so that a broken file among them shows before training.

    Those that do not fit are not read here: a broken one is named when training first reads it (`mtpsl check` reads
    all).

    Args:
        data: the images; their caches share a room.
        progress: show a bar on a terminal.
        say: print a line if something does not fit.
    """
    console = Console(stderr=True)
    hidden = not (progress and console.is_terminal)
    sets = {"training": data.train, "validation": data.validation}
    with without_holes():
        for name, dataset in sets.items():
            title, steps = f"reading {len(dataset)} {name} images", dataset.read_ahead()
            for _ in track(steps, title, total=len(dataset), transient=True, disable=hidden, console=console):
                pass
    if say and any(dataset.cached < len(dataset) for dataset in sets.values()):
        kept = " and ".join(f"{dataset.cached} of {len(dataset)} {name} images" for name, dataset in sets.items())
        gibibytes = sum(dataset.cached_bytes for dataset in sets.values()) / 2**30
        console.print(
            f"[yellow]note[/] {escape(kept)} are kept in memory ({gibibytes:.1f} GiB: a third of what is free); the "
            "others are read in every epoch: --data.workers 4 reads them beside training, --data.cache false keeps "
            "none",
            soft_wrap=True,
            highlight=False,
        )
