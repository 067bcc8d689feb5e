from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from mtpsl.errors import UserError
from mtpsl.evaluation.cells import cells_of, heads_of
from mtpsl.evaluation.compare import Comparison, compare
from mtpsl.evaluation.tables import FORMATS, Metrics, _selected, print_table, render
from run_folders import write_run


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    for seed in (0, 1):
        for regime in ("one", "full"):
            write_run(tmp_path, "stl", {"segmentation": 20.0}, seed=seed, regime=regime)
            write_run(tmp_path, "stl", {"depth": 0.5}, seed=seed, regime=regime)
        some = {"supervised": (18.0, 0.6), "cross_task": (24.0 + seed, 0.5), "not_seen": (math.nan, 0.7)}
        for method, (segmentation, depth) in some.items():
            write_run(tmp_path, method, {"segmentation": segmentation, "depth": depth}, seed=seed)
        write_run(tmp_path, "supervised", {"segmentation": 28.0, "depth": 0.4}, seed=seed, regime="full")
    return compare([tmp_path])


def test_markdown_is_what_a_person_would_write(comparison: Comparison):
    # supervised: -10 and -20 %; cross_task: 20 or 25 and 0 %: 10, 12.5; all labels: 40 and 20 %: the way is -15 to 30
    lines = render(comparison, "markdown").splitlines()
    assert lines[0] == "### rooms (val), segnet, 96 x 128, 20 epochs: segmentation, depth"
    assert lines[2].split(" | ")[3:] == [
        "segmentation mIoU (%) ↑",
        "depth abs. error (m) ↓",
        "ΔMTL (%) ↑",
        "share of headroom (%) ↑ |",
    ]
    assert lines[4:10] == [
        "| one | stl | 2 | 20.00 ± 0.00 | **0.5000 ± 0.0000** | +0.00 |  |",
        "| one | supervised | 2 | 18.00 ± 0.00 | 0.6000 ± 0.0000 | -15.00 ± 0.00 |  |",
        "| one | not_seen | 2 | – | 0.7000 ± 0.0000 | – | – |",
        "| one | cross_task | 2 | **24.50 ± 0.71** | **0.5000 ± 0.0000** | **+11.25 ± 1.77** | 58 ± 4 |",
        "| full | stl | 2 | 20.00 ± 0.00 | 0.5000 ± 0.0000 | +0.00 |  |",
        "| full | supervised | 2 | **28.00 ± 0.00** | **0.4000 ± 0.0000** | **+30.00 ± 0.00** |  |",
    ]
    assert "- not_seen, one, seed 1: ΔMTL is not defined (no score of segmentation)" in lines
    assert lines[-1] == "16 runs; seeds 0, 1; epoch 20; commit c0ffee."


def test_a_pipe_does_not_break_a_markdown_table(tmp_path: Path):
    write_run(tmp_path, "a|b", {"depth": 0.5})
    assert r"| one | a\|b | 1 | 0.5000 |" in render(compare([tmp_path]), "markdown")


def test_csv_has_one_line_per_number_in_full_precision(comparison: Comparison):
    lines = list(csv.DictReader(io.StringIO(render(comparison, "csv"))))
    (line,) = [line for line in lines if (line["method"], line["metric"]) == ("cross_task", "delta_mtl")]
    assert line["data"] == "rooms"
    assert (line["image_size"], line["tasks"], line["regime"]) == ("96x128", "segmentation depth", "one")
    assert float(line["mean"]) == pytest.approx(11.25)
    assert float(line["std"]) == pytest.approx(2.5 / math.sqrt(2), abs=1e-12)
    assert line["n"] == "2"
    (unseen,) = [line for line in lines if (line["method"], line["metric"]) == ("not_seen", "miou")]
    assert (unseen["mean"], unseen["std"]) == ("", "")
    assert len(lines) == 3 + 3 + 4 + 4 + 3 + 3


def test_json_is_strict_and_complete(comparison: Comparison):
    def refuse(constant: str):
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(render(comparison, "json"), parse_constant=refuse)
    assert (content["runs"], content["seeds"], content["commits"]) == (16, [0, 1], ["c0ffee"])
    (block,) = content["blocks"]
    assert block["image_size"] == [96, 128]
    rows = {(row["method"], row["regime"]): row for row in block["rows"]}
    scores = {score["metric"]: score for score in rows["cross_task", "one"]["scores"]}
    assert scores["miou"]["mean"] == 24.5
    assert {score["metric"]: score["mean"] for score in rows["not_seen", "one"]["scores"]}["miou"] is None


def test_latex_has_rules_between_regimes_and_escapes(comparison: Comparison):
    text = render(comparison, "latex")
    assert text.count(r"\midrule") == 2
    assert r"labels & method & seeds & segmentation mIoU (\%) $\uparrow$" in text
    assert (
        r"one & cross\_task & 2 & \textbf{24.50 $\pm$ 0.71} & \textbf{0.5000 $\pm$ 0.0000} & \textbf{+11.25 $\pm$ 1.77}"
        r" & 58 $\pm$ 4 \\" in text
    )
    assert r"one & not\_seen & 2 & -- & 0.7000 $\pm$ 0.0000 & -- & -- \\" in text
    assert r"$-$15.00 $\pm$ 0.00" in text
    outside_comments = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert outside_comments.isascii()


def test_the_terminal_shows_the_same_numbers(comparison: Comparison):
    console = Console(width=160, record=True, file=io.StringIO())
    print_table(comparison, console)
    text = console.export_text()
    assert "rooms (val), segnet, 96 x 128, 20 epochs: segmentation, depth" in text
    assert "+11.25 ± 1.77" in text
    assert "16 runs; seeds 0, 1; epoch 20; commit c0ffee." in text


def test_a_narrow_terminal_gets_methods_as_columns(tmp_path: Path):
    for method in ("supervised", "cross_task"):
        write_run(tmp_path, method, {"segmentation": 20.0, "depth": 0.5})
    shown = {}
    for width in (50, 160):
        console = Console(width=width, record=True, file=io.StringIO())
        print_table(compare([tmp_path]), console, metrics="all")
        shown[width] = console.export_text().splitlines()
    assert any("supervised" in line and "cross_task" in line for line in shown[50])
    assert not any("supervised" in line and "cross_task" in line for line in shown[160])


@pytest.mark.parametrize("metrics", ["primary", "all"])
def test_no_number_and_no_word_is_cut_at_any_width(comparison: Comparison, metrics: Metrics):
    (block,) = _selected(comparison, metrics).blocks
    cells = {cell.text for row in cells_of(block) for cell in row}
    words = {word for head in heads_of(block)[2:] for word in head.split()}
    for width in range(36, 170, 3):
        console = Console(width=width, record=True, file=io.StringIO())
        print_table(comparison, console, metrics=metrics)
        text = console.export_text()
        assert max(map(len, text.splitlines())) <= width
        assert words - set(text.split()) == set(), width
        assert {cell for cell in cells if cell not in text} == set(), width


def test_names_with_brackets_are_not_taken_for_markup(tmp_path: Path):
    write_run(tmp_path, "ramp [bold]", {"depth": 0.5})
    console = Console(width=160, record=True, file=io.StringIO())
    print_table(compare([tmp_path]), console)
    assert "ramp [bold]" in console.export_text()


def test_primary_metrics_are_shown_unless_all_are_asked_for(tmp_path: Path):
    write_run(tmp_path, "supervised", {"segmentation": 20.0, "depth": 0.5})
    comparison = compare([tmp_path])
    for metrics, names in {
        "primary": ["miou", "abs_err"],
        "all": ["miou", "pixel_accuracy", "abs_err", "rmse"],
    }.items():
        lines = csv.DictReader(io.StringIO(render(comparison, "csv", metrics=metrics)))
        assert [line["metric"] for line in lines] == names
        console = Console(width=160, record=True, file=io.StringIO())
        print_table(comparison, console, metrics=metrics)
        assert ("pixel accuracy" in console.export_text()) == (metrics == "all")


def test_a_row_without_rivals_is_not_bold(tmp_path: Path):
    write_run(tmp_path, "supervised", {"depth": 0.5})
    assert "**" not in render(compare([tmp_path]), "markdown")


@pytest.mark.parametrize(
    ("value", "text"), [(0.0161, "0.01610"), (0.5, "0.5000"), (2.3456, "2.346"), (47.123, "47.12"), (0.0, "0.00")]
)
def test_errors_have_four_digits(tmp_path: Path, value: float, text: str):
    write_run(tmp_path, "supervised", {"depth": value})
    assert f"| 1 | {text} |" in render(compare([tmp_path]), "markdown")


def test_rows_over_fewer_seeds_say_so(tmp_path: Path):
    for seed in range(3):
        write_run(tmp_path, "stl", {"depth": 0.5}, seed=seed)
    write_run(tmp_path, "stl", {"segmentation": 20.0})
    assert "| one | stl | 1–3 |" in render(compare([tmp_path]), "markdown")


def test_the_formats_are_listed_for_an_unknown_one(comparison: Comparison):
    with pytest.raises(UserError, match="format should be one of markdown, latex, csv, json, not html"):
        render(comparison, "html")
    assert all(render(comparison, name).endswith("\n") for name in FORMATS)
