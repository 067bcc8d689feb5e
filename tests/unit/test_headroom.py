"""What benchmarks/headroom.py computes of run folders."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mtpsl.errors import UserError
from mtpsl.evaluation.run_scores import load_runs
from run_folders import write_run

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import headroom

SCORES: dict[tuple[str, str], list[tuple[float, float]]] = {
    ("supervised", "one"): [(50, 0.4), (40, 0.5)],
    ("derived", "one"): [(55, 0.38), (40, 0.55)],
    ("late", "one"): [(45, 0.4)],
    ("supervised", "full"): [(60, 0.32), (48, 0.45)],
}
"""Of two seeds: mIoU and depth error."""
SECONDS = {"supervised": [(30, 30), (30, 30)], "derived": [(60, 30), (40, 50)], "late": [(90, 90)]}
"""Of the two epochs."""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for (label, regime), seeds in SCORES.items():
        for seed, (miou, depth) in enumerate(seeds):
            primary = {"segmentation": float(miou), "depth": depth}
            changes = {"label": label, "regime": regime, "seed": seed, "epochs": 2}
            folder = write_run(tmp_path / label, "supervised", primary, **changes)
            half = f"1,{SECONDS[label][seed][0]},{miou / 2},{2 * depth}"
            rows = ["epoch,seconds,val/segmentation/miou,val/depth/abs_err", half]
            rows += [f"2,{SECONDS[label][seed][1]},{miou},{depth}"]
            (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def read(folder: Path) -> list[headroom.Run]:
    return [headroom.read_run(run) for run in load_runs([folder])[0]]


def test_change_and_share_by_hand(runs: Path):
    base, derived, late, full = headroom.compare(read(runs), "supervised", {"late": "later"})
    assert [one.name for one in (base, derived, late, full)] == ["supervised", "derived", "later", "all labels"]
    assert base.changes == {0: 0.0, 1: 0.0}
    # seed 0: (+10 % and +5 %) / 2, of (+20 % and +20 %) / 2; seed 1: (0 and -10 %) / 2, of (+20 % and +10 %) / 2
    assert derived.changes == pytest.approx({0: 7.5, 1: -5})
    assert full.changes == pytest.approx({0: 20, 1: 15})
    assert derived.change == pytest.approx(1.25)
    assert derived.share == pytest.approx(100 * 1.25 / 17.5)
    assert full.share == pytest.approx(100)
    assert late.changes == pytest.approx({0: -5})
    assert late.share == pytest.approx(-25)  # of seed 0 alone
    assert {task: score.value for task, score in derived.scores.items()} == pytest.approx(
        {"segmentation": 47.5, "depth": 0.465}
    )


def test_time_is_the_least_of_each_epoch_or_what_is_given(runs: Path):
    derived = headroom.compare(read(runs), "supervised")[1]
    # seed 0 at half the mIoU and twice the error: (-45 % and -90 %) / 2; seed 1: (-50 % and -120 %) / 2
    assert derived.course == [pytest.approx((40 / 60, -76.25)), pytest.approx((70 / 60, 1.25))]
    assert derived.epoch == (30, 45)
    given = headroom.compare(read(runs), "supervised", minutes={"derived": 7.0})[1]
    assert [minutes for minutes, _ in given.course] == pytest.approx([4, 7])


def test_another_base_is_compared_with_by_the_seeds_that_both_have(runs: Path):
    late, *others = headroom.compare(read(runs), "late")
    assert late.name == "late"
    assert [one.seeds for one in others] == [[0]] * 3
    assert next(one for one in others if one.name == "supervised").change == pytest.approx(100 * (5 / 45) / 2)


def test_a_run_on_filled_labels_is_not_one_with_all_labels(runs: Path):
    full = next(run for run in read(runs) if run.method == headroom.ALL)
    assert replace(full, scores=replace(full.scores, label="filled")).method == "filled"


def test_without_runs_with_all_labels_there_is_no_share(runs: Path):
    some = [run for run in read(runs) if run.method != headroom.ALL]
    methods = headroom.compare(some, "supervised")
    assert {one.share for one in methods} == {None}
    assert "| derived | 0, 1 | 47.5 | 0.465 | +1.2 % | +7.5, -5.0 |  | 30.0, 45.0 | 1.2 |" in headroom.table(methods)
    headroom.draw(methods, runs / "plot.png")


def test_table_and_plot(runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    plot = runs / "plot.svg"
    words = [str(runs), "--name", "derived=derived normals", "--only", "derived", "--plot", str(plot)]
    monkeypatch.setattr(sys, "argv", ["headroom.py", *words])
    headroom.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("|  | seeds | segmentation (%) ↑ | depth (m) ↓ | change |")
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["supervised", "derived normals", "all labels"]
    assert "| +1.2 % | +7.5, -5.0 | 7 % |" in lines[3]
    drawn = plot.read_text(encoding="utf-8")
    for text in ("all labels: +17.5 %", "derived normals", "+1.2 %: 7 % of the headroom", "minutes of training"):
        assert text in drawn


def test_what_cannot_be_compared_is_refused(runs: Path):
    some = read(runs)
    for given, said in [
        ((some, "semi"), "no run is labelled 'semi': there are all labels, derived, late, supervised"),
        ((some, "late", {"x": "y"}), "no run is labelled 'x'"),
        (([*some, replace(some[0])], "supervised"), r"are both \w+ with seed \d"),
    ]:
        with pytest.raises(UserError, match=said):
            headroom.compare(*given)
    other = write_run(runs / "other", "supervised", {"depth": 1.0}, data="streets")
    (other / "metrics.csv").write_text("epoch,seconds,val/depth/abs_err\n20,3,1\n")
    with pytest.raises(UserError, match="runs should be of one data set, split and size, not of"):
        headroom.compare(read(runs), "supervised")
    (other / "metrics.csv").unlink()
    with pytest.raises(UserError, match=r"metrics\.csv: cannot be read as the epochs of a run"):
        read(other)
