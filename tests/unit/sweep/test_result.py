from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mtpsl.errors import UserError
from mtpsl.sweep.cluster import ClusterEngine, ClusterSettings
from mtpsl.sweep.folders import make_jobs
from mtpsl.sweep.jobs import Job
from mtpsl.sweep.plan import PlannedRun, plan_runs
from mtpsl.sweep.published import published_numbers
from mtpsl.sweep.result import make_comparison, make_layout, write_tables
from mtpsl.sweep.table import read_table
from run_folders import run_content


def test_published_numbers_are_found_by_regime_and_method_and_the_first_source_wins():
    found = published_numbers(["CVPR22 Tab. 9"], "cityscapes 128x256")
    assert found["one", "supervised"] == {
        ("segmentation", "miou"): "69.50",
        ("depth", "abs_err"): "0.0186",
        (None, "delta_mtl"): "-16.55",
    }
    both = published_numbers(["CVPR22 Tab. 15", "CVPR22 Tab. 11"], "nyuv2 288x384")
    assert both["full", "mtan"]["normals", "mean_err"] == "28.89"  # of Tab. 15
    assert both["full", "stl"]["segmentation", "miou"] == "37.45"  # of Tab. 11


def test_a_benchmark_that_a_source_does_not_have_is_named():
    with pytest.raises(UserError, match=r"'rooms' is not in CVPR22 Tab\. 9: choose from cityscapes 128x256"):
        published_numbers(["CVPR22 Tab. 9"], "rooms")


VALUES = {
    "stl": {"segmentation": 16.0, "depth": 0.8, "normals": 30.0},
    "supervised": {"segmentation": 25.0, "depth": 0.4, "normals": 20.0},
    "mtan": {"segmentation": 20.0, "depth": 0.6, "normals": 24.0},  # +25, +25 and +20 %
}


def finish(folder: Path, run: PlannedRun, primary: dict[str, float]) -> None:
    """Leave the scores of a run as training does."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    content = run_content(run.config.objective, primary, label=run.config.method, epochs=200)
    content["epoch"] = 200
    content["run"]["network"] = run.config.network
    content["run"]["regime"] = run.config.data.regime_name
    (folder / "scores.json").write_text(json.dumps(content))


def test_a_table_is_written_from_what_is_done_and_says_what_is_missing(tmp_path: Path):
    table = read_table("tab15")
    runs = plan_runs(table)
    assert make_comparison(table, runs, make_jobs(runs, tmp_path)) is None
    for run in runs:
        if values := VALUES.get(run.config.method):
            names = run.config.tasks or list(values)
            finish(tmp_path / "runs" / run.name, run, {name: values[name] for name in names})
    jobs = [Job(run.name, tmp_path / "runs" / run.name, {}, 200) for run in runs]
    comparison = make_comparison(table, runs, jobs)
    assert comparison is not None
    (block,) = comparison.blocks
    assert block.setting.network == "mtan, segnet"
    assert [row.method for row in block.rows] == [
        "stl", "supervised", "mtan", "x_task", "uncertainty", "gradnorm", "mgda", "dwa", "cross_task",
        "cross_task with uncertainty",
    ]  # fmt: skip
    assert comparison.notes[0].startswith(
        "INCOMPLETE: 5 of 12 runs are done; missing: full/x_task/0, full/uncertainty/0"
    )
    paths = write_tables(comparison, tmp_path)
    assert [path.name for path in paths] == ["table.md", "table.csv", "table.tex", "table.json"]
    text = (tmp_path / "table.md").read_text()
    assert "| full | mtan | 1 | 20.00 | 39.39 | 0.6000 | 0.5696 | 24.00 | 28.89 | +23.33 | +0.03 |" in text
    assert "| full | x_task |  |  | 38.91 |" in text


def test_a_table_without_baselines_shows_no_published_gain():
    table = read_table("tab06")
    layout = make_layout(table, plan_runs(table), [])
    assert layout.published["one", "cross_task (w/o reg)"] == {
        ("segmentation", "miou"): "28.36",
        ("depth", "abs_err"): "0.6407",
        ("normals", "mean_err"): "32.92",
    }
    assert all((None, "delta_mtl") not in printed for printed in layout.published.values())


def test_a_cluster_is_asked_for_what_was_given():
    asked = ClusterSettings(partition="gpu", hours=1.5, memory=32).parameters()
    assert (asked["slurm_partition"], asked["timeout_min"], asked["mem_gb"], asked["gpus_per_node"]) == (
        "gpu",
        90,
        32,
        1,
    )
    assert "slurm_account" not in asked


def test_without_submitit_the_cure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"pip install 'mtpsl\[cluster\]'"):
        ClusterEngine(tmp_path, ClusterSettings(), jobs=1)
