"""Train, evaluate, predict and compare on a small data set, through the command line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import PLAIN, SMALL, mtpsl, write_dataset
from PIL import Image

from mtpsl.cli import main
from mtpsl.evaluation.evaluate import Evaluator


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "small")


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    out = data.parent / "runs" / "cross"
    assert (
        main(
            [
                "train",
                "--data.root",
                str(data),
                "--data.regime",
                "one",
                "--training.epochs",
                "3",
                "--out",
                str(out),
                *SMALL,
            ]
        )
        == 0
    )
    return out


def test_a_run_folder_is_complete(run: Path) -> None:
    for name in (
        "config.yaml",
        "environment.json",
        "tasks.json",
        "metrics.csv",
        "scores.json",
        "checkpoints/last.ckpt",
    ):
        assert (run / name).is_file(), name
    assert list((run / "pictures" / "sheets").glob("*.png"))
    assert list((run / "pictures" / "mapped").glob("*.png"))
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [bool(row["val/depth/abs_err"]) for row in rows] == [False, True, True]  # every second, and the last
    scores = json.loads((run / "scores.json").read_text())
    assert scores["run"]["complete"]
    assert float(rows[-1]["val/depth/abs_err"]) == pytest.approx(
        scores["scores"]["depth"]["abs_err"]["value"], rel=1e-4
    )


def test_evaluate_repeats_the_scores(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = json.loads((run / "scores.json").read_text())
    assert main(["evaluate", str(run), "--batch_size", "1"]) == 0
    after = json.loads((run / "scores.json").read_text())
    for task, scores in before["scores"].items():
        for name, score in scores.items():
            assert after["scores"][task][name]["value"] == pytest.approx(score["value"], rel=1e-4), (task, name)
    assert "abs_err" in capsys.readouterr().out


def test_evaluate_with_other_metric_options_leaves_the_scores_of_the_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "scores.json").read_text()
    skipped, zero = tmp_path / "skip.json", tmp_path / "zero.json"
    assert main(["evaluate", str(run), "--absent", "skip", "--json", str(skipped)]) == 0
    assert main(["evaluate", str(run), "--absent", "zero", "--json", str(zero)]) == 0
    assert "scores.json keeps the scores" in capsys.readouterr().out
    assert (run / "scores.json").read_text() == before
    one, other = (json.loads(file.read_text()) for file in (skipped, zero))
    assert other["metric_options"] == {"absent": "zero"}
    assert other["scores"]["segmentation"]["miou"]["value"] <= one["scores"]["segmentation"]["miou"]["value"]
    assert other["scores"]["depth"] == one["scores"]["depth"]
    assert not (run / "evaluation").exists()
    assert main(["evaluate", str(run), "--nms", "true"]) == 2
    assert "--nms: none of the run's tasks (depth, normals, segmentation) has it" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--absent", "none"]) == 2


def test_a_scores_file_that_cannot_be_written_is_refused_before_scoring(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mtpsl.training.score_run.evaluate", lambda *_: pytest.fail("it scored"))
    (tmp_path / "file").touch()
    for place, words in ((tmp_path, "is a folder"), (tmp_path / "file" / "x.json", "cannot be written")):
        assert main(["evaluate", str(run), "--json", str(place)]) == 2
        error = capsys.readouterr().err
        assert f"{place} {words}" in error
        assert "--json" in error
        assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def interrupt_at_the_third_image(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update, calls = Evaluator.update, []

    def interrupted(self: Evaluator, *arguments: Any) -> None:
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        update(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "update", interrupted)
        patch.setattr("mtpsl.evaluation.resume.SECONDS", 0.0)
        assert main(["evaluate", str(run), "--batch_size", "1"]) != 0


def images_scored(run: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many images an evaluation looks at."""
    update, calls = Evaluator.update, []
    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "update", lambda *arguments: (calls.append(None), update(*arguments)))
        assert main(["evaluate", str(run), "--batch_size", "1"]) == 0
    return len(calls)


def test_an_interrupted_evaluation_goes_on(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = json.loads((run / "scores.json").read_text())["scores"]
    interrupt_at_the_third_image(run, monkeypatch)
    assert [file.name[:4] for file in (run / "evaluation").iterdir()] == ["val-"]
    assert images_scored(run, monkeypatch) == 1  # the third of three
    after = json.loads((run / "scores.json").read_text())["scores"]
    for task, scores in before.items():
        for name, score in scores.items():
            assert after[task][name]["value"] == pytest.approx(score["value"], rel=1e-4), (task, name)
    assert not (run / "evaluation").exists()


def test_counts_of_other_labels_are_not_taken_up(run: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at_the_third_image(run, monkeypatch)
    next((data / "val" / "depth").iterdir()).touch()
    assert images_scored(run, monkeypatch) == 3
    for left in (run / "evaluation").iterdir():
        left.unlink()
    (run / "evaluation").rmdir()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--batch_size", "-1"], "--batch_size should be at least 1"),
        (["--tolerance", "7"], "--tolerance"),
        (["--sheets", "-1"], "--sheets should not be negative"),
        (["--nms", "maybe"], "nms"),
    ],
)
def test_wrong_options_of_evaluate_are_one_line(
    run: Path, words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), *words]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1


def test_predict_writes_raw_files_and_sheets_for_any_size(run: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (45, 101, 3), np.uint8)).save(pictures / "odd.png")
    out = tmp_path / "out"
    assert main(["predict", str(run), str(pictures), "--out", str(out)]) == 0
    assert np.asarray(Image.open(out / "segmentation" / "odd.png")).shape == (45, 101)
    assert np.load(out / "depth" / "odd.npy").shape == (45, 101)
    assert np.load(out / "normals" / "odd.npy").shape == (45, 101, 3)
    assert (out / "sheets" / "odd.png").is_file()


def test_compare_finds_the_single_task_runs(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    single = data.parent / "runs" / "single"
    options = ["--network.width", "0.125", "--training.batch_size", "2", "--training.sheets", "1", "--quiet"]
    options += ["--training.epochs", "3", "--data.root", str(data), "--data.regime", "one", "--out", str(single)]
    assert main(["train", *PLAIN, "--objective", "stl", *options]) == 0
    assert {path.name for path in single.iterdir()} == {"segmentation", "depth", "normals"}
    capsys.readouterr()
    assert main(["compare", str(data.parent / "runs"), "--format", "json"]) == 0
    assert "delta_mtl" in capsys.readouterr().out.replace("Δ", "delta_").lower()


def test_two_processes_train_one_network(data: Path, tmp_path: Path) -> None:
    done = mtpsl(
        "train", "--data.root", data, "--data.regime", "random", "--training.epochs", 1, "--training.devices", 2,
        "--out", tmp_path / "run", *SMALL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["run"]["complete"]
    again = mtpsl("evaluate", tmp_path / "run")
    assert again.returncode == 0, again.stderr
    one = json.loads((tmp_path / "run" / "scores.json").read_text())
    for task, values in scores["scores"].items():
        for name, score in values.items():  # the processes' sums are those of one process
            assert one["scores"][task][name]["value"] == pytest.approx(score["value"], rel=1e-4), (task, name)


def test_print_config_can_be_trained_from(data: Path, tmp_path: Path) -> None:
    printed = mtpsl("train", "--data.root", data, "--network.width", 0.125, "--out", tmp_path / "a", "--print_config")
    assert printed.returncode == 0, printed.stderr
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(printed.stdout)
    assert "width: 0.125" in printed.stdout
    assert main(["train", str(recipe), "--training.epochs", "1", "--out", str(tmp_path / "b"), *SMALL]) == 0


COMPILED = """
import sys
from torch import nn
from mtpsl.cli import main

compile_module = nn.Module.compile

def compile_quickly(module):
    # as torch.compile does it, up to writing code: graphs are captured and run as they are
    print("compiled", type(module).__name__)
    compile_module(module, backend="aot_eager", fullgraph=True)

nn.Module.compile = compile_quickly
sys.exit(main(sys.argv[1:]))
"""


def test_a_compiled_network_learns_the_same(data: Path, tmp_path: Path) -> None:
    losses = []
    for start, name in ((["-m", "mtpsl"], "plain"), (["-c", COMPILED, "--training.compile", "true"], "compiled")):
        start.insert(2, "train")
        options = ["--data.root", str(data), "--data.regime", "one", "--training.epochs", "1", *SMALL]
        # in a process of its own: what checks shapes in tests cannot be compiled
        command = [sys.executable, *start, *options, "--out", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        for part in ("SegNet", "Stage"):  # of the network and of the mapping
            assert (f"compiled {part}\n" in done.stdout) == (name == "compiled")
        rows = csv.DictReader((tmp_path / name / "metrics.csv").read_text().splitlines())
        losses.append([float(row["loss"]) for row in rows])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert main(["evaluate", str(tmp_path / "compiled")]) == 0  # its weights are those of a network not compiled
