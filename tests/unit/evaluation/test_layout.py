from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from mtpsl.evaluation.compare import Comparison, compare
from mtpsl.evaluation.paper_layout import Layout, arrange
from mtpsl.evaluation.tables import render
from run_folders import write_run

PRINTED = {("segmentation", "miou"): "69.5", ("depth", "abs_err"): "0.0186", (None, "delta_mtl"): "3.10"}


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    for seed in (0, 1):
        for task, value in {"segmentation": 20.0, "depth": 0.5}.items():
            write_run(tmp_path, "stl", {task: value}, seed=seed)
        write_run(tmp_path, "supervised", {"segmentation": 22.0 + seed, "depth": 0.5}, seed=seed)
        write_run(tmp_path, "cross_task", {"segmentation": 24.0, "depth": 0.4}, seed=seed)
    return compare([tmp_path])


def lines(comparison: Comparison, layout: Layout) -> list[str]:
    return [line for line in render(arrange(comparison, layout), "markdown").splitlines() if line]


def test_published_numbers_stand_beside_those_measured_as_they_were_printed(comparison: Comparison):
    layout = Layout("Tab. 9", (("one", "stl"), ("one", "supervised")), {("one", "supervised"): PRINTED})
    shown = lines(comparison, layout)
    assert shown[0] == "### Tab. 9: rooms (val), segnet, 96 x 128, 20 epochs: segmentation, depth"
    assert shown[1] == (
        "| labels | method | seeds | segmentation mIoU (%) ↑ | published | depth abs. error (m) ↓ | published "
        "| ΔMTL (%) ↑ | published |"
    )
    assert shown[3] == "| one | stl | 2 | 20.00 ± 0.00 |  | 0.5000 ± 0.0000 |  | +0.00 |  |"
    assert (
        shown[4] == "| one | supervised | 2 | 22.50 ± 0.71 | 69.5 | 0.5000 ± 0.0000 | 0.0186 | +6.25 ± 1.77 | +3.10 |"
    )


def test_rows_stand_in_the_order_of_the_layout_and_those_it_does_not_name_follow(comparison: Comparison):
    layout = Layout("", (("one", "cross_task"), ("one", "supervised")))
    assert [row.method for row in arrange(comparison, layout).blocks[0].rows] == ["cross_task", "supervised", "stl"]


def test_a_row_without_runs_is_shown_if_it_was_published(comparison: Comparison):
    rows = (("one", "direct_map"), ("one", "x_task"), ("one", "stl"))
    shown = lines(comparison, Layout("", rows, {("one", "direct_map"): PRINTED}, ("INCOMPLETE",)))
    assert shown[3] == "| one | direct_map |  |  | 69.5 |  | 0.0186 |  | +3.10 |"
    assert not any("x_task" in line for line in shown)
    assert "- INCOMPLETE" in shown


def test_published_gains_have_a_column_where_none_can_be_computed_yet(tmp_path: Path):
    write_run(tmp_path, "supervised", {"segmentation": 22.0, "depth": 0.5})
    layout = Layout("", (("one", "supervised"),), {("one", "supervised"): PRINTED})
    assert (
        lines(compare([tmp_path]), layout)[3] == "| one | supervised | 1 | 22.00 | 69.5 | 0.5000 | 0.0186 |  | +3.10 |"
    )


def test_every_format_holds_the_published_numbers(comparison: Comparison):
    layout = Layout(
        "50% of it",
        (("one", "supervised"), ("one", "new")),
        dict.fromkeys([("one", "supervised"), ("one", "new")], PRINTED),
    )
    arranged = arrange(comparison, layout)
    table = {(r["method"], r["metric"]): r for r in csv.DictReader(io.StringIO(render(arranged, "csv")))}
    assert (table["supervised", "abs_err"]["published"], table["cross_task", "abs_err"]["published"]) == ("0.0186", "")
    assert (table["new", "miou"]["mean"], table["new", "miou"]["n"], table["new", "miou"]["published"]) == (
        "",
        "0",
        "69.5",
    )
    (block,) = json.loads(render(arranged, "json"))["blocks"]
    assert block["title"] == "50% of it"
    assert {score.get("published") for row in block["rows"] for score in row["scores"]} == {None, 69.5, 0.0186, 3.1}
    latex = render(arranged, "latex")
    assert r"\caption{50\% of it: rooms" in latex
    assert "& 69.5 &" in latex


def test_without_a_layout_nothing_is_said_of_published_numbers(comparison: Comparison):
    for form in ("markdown", "csv", "json", "latex"):
        assert "published" not in render(comparison, form)
