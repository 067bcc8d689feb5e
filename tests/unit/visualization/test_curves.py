"""Curves of losses and scores."""

from __future__ import annotations

from math import nan
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from mtpsl.visualization.curves import draw_curves

UNITS = {
    "segmentation": {"miou": ("%", True), "pixel_accuracy": ("%", True)},
    "depth": {"abs_err": ("m", False), "rel_err": ("", False)},
}
ROWS = [
    {"epoch": 1.0, "loss": 2.0, "loss/depth": 1.5, "loss/depth->normals": 0.5},
    {"epoch": 2.0, "loss": 1.0, "loss/depth": 0.5, "loss/depth->normals": 0.5, "val/segmentation/miou": 40.0},
    {"epoch": 3.0, "loss": 0.5, "loss/depth": 0.2, "val/segmentation/miou": 50.0, "val/depth/abs_err": nan},
]


def test_every_unit_of_a_task_has_a_panel_and_every_score_its_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **how: (figures.append(self), save(self, *args, **how)))
    draw_curves(ROWS, UNITS, tmp_path / "curves.png", "a run")
    panels = {(axes.get_title(), axes.get_ylabel()): axes for axes in figures[0].axes if axes.axison}
    assert [*panels] == [
        ("losses in training: less is better", "loss"),
        ("segmentation, validation: more is better", "%"),
        ("depth, validation: less is better", "m"),
        ("depth, validation: less is better", "ratio"),
    ]
    drawn = [{line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()} for axes in panels.values()]
    assert drawn[0]["depth"] == [[1, 1.5], [2, 0.5], [3, 0.2]]
    assert drawn[0]["depth->normals"] == [[1, 0.5], [2, 0.5]]
    assert drawn[0]["all"] == [[1, 2.0], [2, 1.0], [3, 0.5]]
    assert drawn[1:] == [{"miou": [[2, 40.0], [3, 50.0]]}, {}, {}]
    assert panels["losses in training: less is better", "loss"].get_yscale() == "log"
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 900


def test_a_loss_below_zero_is_drawn_on_a_plain_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path: figures.append(self))
    draw_curves([{"epoch": 1.0, "loss": -1.0, "loss/depth": -1.0}], {}, tmp_path / "curves.png", "a run")
    assert figures[0].axes[0].get_yscale() == "linear"
