"""How related the tasks of a run were found, as a square of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
    """Draw the gain of every pair, sources as rows and targets as columns; a dropped pair is crossed out.

    Args:
        names: the tasks.
        gain: from about 0, unrelated, to 1; NaN where nothing was measured.
        related: the pairs that were kept; None where all were.
        path: the file to write.
        title: a line above.
    """
    count = len(names)
    figure = Figure(figsize=(2.4 + 0.95 * count, 1.9 + 0.85 * count), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(gain.clamp(0, 1).numpy(), cmap="Blues", vmin=0, vmax=1)
    for source in range(count):
        for target in range(count):
            value = float(gain[source, target])
            if source == target:
                continue
            words = f"{value:.2f}" if value == value else "–"
            kept = related is None or bool(related[source, target])
            color = "white" if value > 0.55 else "black"
            axes.text(target, source - 0.1 * (not kept), words, ha="center", va="center", color=color)
            if not kept:
                axes.text(target, source + 0.2, "dropped", ha="center", va="center", color="firebrick", size=8)
    axes.set_xticks(range(count), names, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), names)
    axes.set_xlabel("label of")
    axes.set_ylabel("prediction of")
    axes.set_title(title, size=10)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.8, label="gain")
    write_atomically(path, figure.savefig)
