"""`mtpsl report`, and the page that every training leaves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from html_pages import Page
from mtpsl.cli import main
from mtpsl.visualization.report import page as page_file

from command import PLAIN, SMALL, write_dataset  # isort: skip

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose first class is called as no class should be, with images of such names."""
    root = write_dataset(tmp_path_factory.mktemp("report") / "data", train=4, val=5, size=(32, 48))
    description = yaml.safe_load((root / "dataset.yaml").read_text())
    description["tasks"]["segmentation"]["classes"] = [EVIL, "b", "c"]
    (root / "dataset.yaml").write_text(yaml.safe_dump(description))
    for folder in (root / "val").iterdir():
        (folder / "000.png").rename(folder / f"{EVIL}.png")
    return root


@pytest.fixture(scope="module")
def runs(data: Path) -> Path:
    """Two short runs of two objectives."""
    supervised = [word for word in SMALL if word not in ("--objective.mapping.width", "--objective.name", "cross_task")]
    supervised = ["--objective", "supervised", *supervised[: len(PLAIN) + 2], *supervised[len(PLAIN) + 3 :]]
    for name, words in (("cross_task", SMALL), ("supervised", supervised)):
        out = data.parent / "runs" / name
        assert main(["train", "--data.root", str(data), "--out", str(out), *words, "--training.epochs", "2"]) == 0
    return data.parent / "runs"


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_training_leaves_a_page_with_all_parts(runs: Path) -> None:
    page = read(runs / "cross_task" / "report.html")
    assert page.addresses() == set()
    headings = page.words("h2")
    for part in ("What was trained on what", "Scores", "Curves", "Predictions on validation images", "Errors"):
        assert part in headings
    words = " ".join(page.words("main"))
    for text in ("4 of 4", EVIL, "confusion matrix", "relations of tasks", "mapped features"):
        assert text in words, text
    assert all(not name.startswith("on") for _, attributes in page.elements for name in attributes)
    charts = json.loads(page.words("script")[0])
    assert charts[0]["groups"][0]["lines"][0]["epoch"] == [1.0, 2.0]


def test_a_page_of_several_runs_compares_them(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    assert main(["report", str(runs), "--out", str(out), "--sheets", "2"]) == 0
    assert str(out) in capsys.readouterr().out
    page = read(out)
    words = " ".join(page.words("main"))
    assert words.count("prediction on the photo") < words.count("supervised")
    (table,) = [words for words in page.words("table") if words.startswith("labels method")]
    assert "cross_task" in table
    names = [attributes.get("data-name") for attributes in page.of("img")]
    assert names.count("cross_task") == names.count("supervised") == 2 * 3  # images, tasks


def test_a_page_replaces_another_only_when_told(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = runs / "supervised", tmp_path / "page.html"
    out.write_text("mine")
    assert main(["report", str(run), "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["report", str(run), "--out", str(out), "--overwrite", "--sheets", "1"]) == 0
    assert "segmentation: worst images" in read(out).words("h3")


def test_where_the_data_is_not_the_page_says_so_and_shows_the_sheets_of_the_run(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs / "supervised", run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["root"] = str(tmp_path / "gone")
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["report", str(run)]) == 0
    page = read(run / "report.html")
    words = " ".join(page.words("main"))
    assert "The data is not there" in words
    assert "validation image" in words
    assert "Predictions on validation images" not in page.words("h2")
    shutil.rmtree(run / "checkpoints")
    assert main(["report", str(run)]) == 0
    assert "has no checkpoint" in " ".join(read(run / "report.html").words("main"))


def test_bad_input_is_one_line(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = tmp_path / "half"
    shutil.copytree(runs / "supervised", half)
    scores = json.loads((half / "scores.json").read_text())
    scores["run"]["complete"], scores["epoch"] = False, 1
    (half / "scores.json").write_text(json.dumps(scores))
    without = tmp_path / "without"
    shutil.copytree(runs / "supervised", without, ignore=shutil.ignore_patterns("scores*.json"))
    broken = tmp_path / "broken"
    shutil.copytree(runs / "supervised", broken)
    (broken / "metrics.csv").write_text("epoch,loss\n1,many\n")
    (tmp_path / "empty").mkdir()
    run = str(runs / "supervised")
    for words, message in (
        ([half], "stopped at epoch 1 of 2"),
        ([without], "has no scores.json yet"),
        ([broken], "metrics.csv cannot be read"),
        ([tmp_path / "empty"], "no config.yaml is in it or below"),
        ([tmp_path / "nowhere"], "is not there"),
        ([run, half, "--out", tmp_path / "page.html"], "stopped at epoch 1"),
        ([run, runs / "cross_task"], "--out is missing"),
        ([run, "--out", tmp_path], "is a folder"),
        ([run, "--sheets", "-1"], "--sheets should not be negative"),
    ):
        assert main(["report", *map(str, words)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("mtpsl: ")
        assert error.count("\n") == 1
        assert message in error
    assert not (tmp_path / "page.html").exists()
    assert (half / "report.html").read_bytes() == (runs / "supervised" / "report.html").read_bytes()


def test_a_training_whose_page_fails_is_complete(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str) -> str:
        raise RuntimeError("no template")

    monkeypatch.setattr(page_file, "asset", broken)
    run = tmp_path / "run"
    words = [*SMALL, "--training.epochs", "1", "--training.sheets", "0"]
    assert main(["train", "--data.root", str(data), "--out", str(run), *words]) == 0
    assert "report.html was not written (RuntimeError: no template)" in capsys.readouterr().err
    assert (run / "scores.json").is_file()
