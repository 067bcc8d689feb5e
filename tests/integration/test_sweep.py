"""A matrix of runs through the command line: planned, trained, skipped, shown."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import yaml
from command import mtpsl

from mtpsl.cli import main

TABLE = {
    "title": "Tiny",
    "source": "CVPR22 Tab. 9",
    "benchmark": "cityscapes 128x256",
    "regimes": ["one"],
    "methods": ["supervised", {"label": "diverges", "objective": "supervised", "training.lr": 1e30}],
    "options": {
        "data": {
            "name": "scenes",
            "size": [32, 32],
            "scenes_train": 4,
            "scenes_val": 2,
            "tasks": ["segmentation", "depth"],
        },
        "network": {"width": 0.125},
        "training": {"epochs": 1, "batch_size": 2, "sheets": 0, "accelerator": "cpu"},
    },
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TABLE))
    return path


def test_a_sweep_trains_what_is_missing_and_shows_what_there_is(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = table.parent / "out"
    words = ["sweep", str(table), "--out", str(out)]
    assert main([*words, "--dry-run"]) == 0
    assert "2 runs" in (planned := capsys.readouterr().out)
    assert "train        one/supervised/0" in planned
    assert not out.exists()

    with pytest.raises(SystemExit) as stopped:
        main([*words, "--jobs", "2"])
    printed = capsys.readouterr()
    assert stopped.value.code == 1, printed.err
    assert "one/diverges/0: exit status 2: epoch 1, step" in printed.err
    assert "INCOMPLETE: 1 of 2 runs are done; missing: one/diverges/0" in printed.out
    shown = (out / "table.md").read_text()
    assert "### Tiny (incomplete): scenes (val), segnet, 32 x 32, 1 epoch: segmentation, depth" in shown
    assert "| 69.50 |" in shown  # published for supervised with one label per image
    assert "published" in (out / "table.csv").read_text().splitlines()[0]
    assert json.loads((out / "table.json").read_text())["blocks"][0]["title"] == "Tiny (incomplete)"
    assert (out / "table.tex").read_text().startswith("% needs")

    scores = out / "runs/one/supervised/0/scores.json"
    before = scores.stat().st_mtime_ns
    capsys.readouterr()
    assert main([*words, "--only", "*/supervised"]) == 0  # nothing to train: the table once more
    assert "69.50" in capsys.readouterr().out
    assert scores.stat().st_mtime_ns == before
    assert main([*words, "--training.epochs", "2"]) == 2
    assert "was trained with training.epochs 1, but now it is 2" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="submitit is not installed: mtpsl[cluster]")
def test_a_sweep_runs_through_submitit(table: Path) -> None:
    out = table.parent / "out"
    done = mtpsl("sweep", table, "--out", out, "--engine", "submitit", "--kind", "local")
    assert done.returncode == 1, done.stderr
    assert "one/diverges/0: exit status 2: epoch 1, step" in done.stderr
    assert json.loads((out / "runs/one/supervised/0/scores.json").read_text())["run"]["complete"]
    assert list((out / "submitit").iterdir())


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["no_such"], "tab09"),
        (["--jobs", "2"], "name a table"),
        (["demo", "--jobs", "none"], "--jobs"),
        (["demo", "--jobs", "0"], "--jobs"),
        (["demo", "--seeds", "0,b"], "--seeds"),
        (["demo", "--engine", "ray"], "submitit"),
        (["demo", "--partition", "gpu"], "--engine submitit"),
        (["demo", "--only", "two"], "fits no run"),
        (["demo", "--training.epochz", "2"], "epochz"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *words]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1


def test_tables_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--list"]) == 0
    assert "tab11" in capsys.readouterr().out
    assert main(["sweep", "tab11", "--show"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["benchmark"] == "nyuv2 288x384"
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", "--help"])
    assert stopped.value.code == 0
    assert "usage: mtpsl sweep TABLE" in capsys.readouterr().out
