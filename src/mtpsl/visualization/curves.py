"""How losses and validation scores went, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtpsl.files import write_atomically

Rows = Sequence[Mapping[str, float]]


def draw_curves(rows: Rows, units: Mapping[str, Mapping[str, tuple[str, bool]]], path: Path, title: str) -> None:
    """Draw the losses in one panel, and the scores of each task in one panel per unit.

    Args:
        rows: an epoch each: `epoch` (counted from 1), `loss` and `loss/NAME`, and where it was validated
            `val/TASK/SCORE`.
        units: unit of each score by task, and whether more of it is better.
        path: the file to write.
        title: a line above.
    """
    panels = [(task, unit, better) for task, kinds in units.items() for unit, better in dict.fromkeys(kinds.values())]
    columns = min(3, 1 + len(panels))
    lines = math.ceil((1 + len(panels)) / columns)
    figure = Figure(figsize=(4.2 * columns, 0.5 + 2.9 * lines), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, size=11)
    grid = figure.subplots(lines, columns, squeeze=False).flatten().tolist()
    for axes in grid[1 + len(panels) :]:
        axes.set_axis_off()
    draw_losses(grid[0], rows)
    for axes, (task, unit, better) in zip(grid[1:], panels, strict=False):
        for name, kind in units[task].items():
            if kind == (unit, better):
                draw_line(axes, rows, f"val/{task}/{name}", name.replace("_", " "), marker="o")
        axes.set_title(f"{task}, validation: {'more' if better else 'less'} is better", size=9)
        axes.set_ylabel(unit or "ratio")
        finish(axes)
    write_atomically(path, figure.savefig)


def draw_losses(axes: Axes, rows: Rows) -> None:
    """The loss of every task, what is added between tasks (dashed), and their sum, on a logarithmic scale."""
    names = list(dict.fromkeys(name for row in rows for name in row if name.startswith("loss/")))
    for name in names:
        between = "->" in name
        style = "--" if between else "-"
        draw_line(axes, rows, name, name.removeprefix("loss/"), linestyle=style, linewidth=0.8 if between else 1.5)
    draw_line(axes, rows, "loss", "all", color="black", linewidth=1.0)
    if all(row.get(name, 1.0) > 0 for row in rows for name in ("loss", *names)):
        axes.set_yscale("log")
    axes.set_title("losses in training: less is better", size=9)
    axes.set_ylabel("loss")
    finish(axes)


def draw_line(axes: Axes, rows: Rows, name: str, label: str, **style: object) -> None:
    """One column of the rows that have it."""
    points = [(row["epoch"], row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, markersize=3, **style)  # type: ignore[arg-type]


def finish(axes: Axes) -> None:
    """What all panels have."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_lines():
        axes.legend(fontsize=7, frameon=False)
