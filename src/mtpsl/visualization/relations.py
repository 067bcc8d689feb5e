"""How related the tasks of a run were found, as a square of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from mtpsl.files import write_atomically


def draw_relations(
    names: Sequence[str],
    gain: Float[Tensor, "k k"],
    related: Bool[Tensor, "k k"] | None,
    path: Path,
    title: str,
) -> None:
    """Draw the gain of every pair, sources as rows and targets as columns; a dropped pair is named so.

    White is no gain, the prediction is as near to another image's label as to its own; blue is nearer to its own, red
    to another's. The scale ends at the next quarter above the largest gain or loss.

    Args:
        names: the tasks.
        gain: from about 0, unrelated, to 1; below 0 what is worse than chance; NaN where nothing was measured.
        related: the pairs that were kept; None where all were.
        path: the file to write.
        title: a line above.
    """
    count = len(names)
    figure = Figure(figsize=(3.4 + 0.95 * count, 2.2 + 0.85 * count), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_facecolor("0.93")  # what was not measured, and a task with itself
    shown = gain.masked_fill(torch.eye(count, dtype=torch.bool, device=gain.device), torch.nan).cpu()
    known = shown[shown.isfinite()].abs()
    limit = min(1.0, max(0.25, math.ceil(4 * float(known.max())) / 4)) if len(known) else 1.0
    image = axes.imshow(shown.numpy(), cmap="RdBu", vmin=-limit, vmax=limit)
    for source in range(count):
        for target in range(count):
            value = float(gain[source, target])
            if source == target:
                continue
            words = f"{value:.2f}" if value == value else "–"
            kept = related is None or bool(related[source, target])
            color = "white" if abs(value) > 0.65 * limit else "black"
            axes.text(target, source - 0.1 * (not kept), words, ha="center", va="center", color=color)
            if not kept:
                box = {"facecolor": "white", "edgecolor": "firebrick", "boxstyle": "round,pad=0.15", "linewidth": 0.6}
                axes.text(
                    target, source + 0.25, "dropped", ha="center", va="center", color="firebrick", size=8, bbox=box
                )
    axes.set_xticks(range(count), names, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), names)
    axes.set_xlabel("label of")
    axes.set_ylabel("prediction of")
    axes.set_title(title, size=10)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.9, extend="both" if limit == 1.0 else "neither")
    marks = {
        -1.0: "nearer to another\nimage's label",
        -0.5: "",
        0.0: "no relation",
        0.5: "",
        1.0: "nearer to its own\nimage's label",
    }
    bar.set_ticks(
        [limit * mark for mark in marks], labels=[f"{limit * mark:.2g} {words}" for mark, words in marks.items()]
    )
    bar.ax.set_title("gain", size=10)
    write_atomically(path, figure.savefig)
