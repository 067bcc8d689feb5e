"""Networks of several seeds label what images lack, and one learns from it: one command that goes on where it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command import PLAIN, write_dataset

from mtpsl.cli import main
from mtpsl.training.run_folder import RunFolder
from mtpsl.training.trained import load

OPTIONS = [
    *PLAIN,
    "--network", "segnet",
    "--network.width", "0.0625",
    "--objective.name", "supervised",
    "--data.regime", "one",
    "--training.batch_size", "2",
    "--training.precision", "32",
    "--training.channels_last", "false",
    "--training.accelerator", "cpu",
    "--training.sheets", "0",
    "--training.report", "false",
    "--training.epochs", "1",
    "--training.seed", "3",
    "--quiet",
]  # fmt: skip


def distill(data: Path, out: Path, *words: str) -> int:
    return main(["distill", "--data.root", str(data), "--out", str(out), *OPTIONS, *words])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `data` and `out`, in which two teachers and a student were trained."""
    folder = tmp_path_factory.mktemp("distill")
    write_dataset(folder / "data", size=(32, 32))
    assert distill(folder / "data", folder / "out") == 0
    return folder


def scores_of(run: Path) -> bytes:
    return (run / "scores.json").read_bytes()


def test_the_teachers_differ_by_their_seed_and_saw_the_labels_of_the_first(made: Path) -> None:
    configs = [RunFolder(made / f"out/teachers/{number}").read_config() for number in range(2)]
    assert [config.training.seed for config in configs] == [3, 4]
    assert [config.data.label_seed for config in configs] == [3, 3]
    weights = [load(made / f"out/teachers/{number}").network.state_dict() for number in range(2)]
    assert any(not torch.equal(one, weights[1][name]) for name, one in weights[0].items())
    single = made / "single"
    words = [word for word in OPTIONS if word != "--quiet"]
    assert main(["train", "--data.root", str(made / "data"), "--out", str(single), *words, "--quiet"]) == 0
    first = load(single).network.state_dict()
    assert all(torch.equal(one, first[name]) for name, one in weights[0].items())


def test_the_student_learns_what_they_predict_together_and_nothing_hidden(made: Path) -> None:
    data, mark = made / "out/data", yaml.safe_load((made / "out/data/dataset.yaml").read_text())["autolabels"]
    assert (mark["run"], [other["run"] for other in mark["others"]], mark["hidden"]) == ("0", ["1"], True)
    given = [path for task in ("segmentation", "depth", "normals") for path in (data / "train" / task).glob("*")]
    assert len(given) == 6  # one label per image
    predicted = [*(data / "autolabels/train/depth").iterdir()]
    assert len(predicted) == 6 - len([path for path in given if "depth" in path.parts])
    assert all(np.isfinite(np.load(path)).all() for path in predicted)  # every pixel counts
    config = RunFolder(made / "out/student").read_config()
    assert (config.data.regime, config.data.root, config.training.seed) == ("full", str(data), 3)
    assert config.method == "supervised, distilled"


def test_given_again_it_does_what_is_missing(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = scores_of(made / "out/student")
    assert distill(made / "data", made / "out") == 0
    assert scores_of(made / "out/student") == before
    out = tmp_path / "out"
    shutil.copytree(made / "out", out)
    shutil.rmtree(out / "student")
    shutil.rmtree(out / "data")
    kept = (out / "teachers/1/checkpoints/last.ckpt").stat().st_mtime_ns
    capsys.readouterr()
    assert distill(made / "data", out) == 0
    assert (out / "teachers/1/checkpoints/last.ckpt").stat().st_mtime_ns == kept
    for name, value in load(out / "student").network.state_dict().items():
        assert torch.equal(value, load(made / "out/student").network.state_dict()[name])
    shown = capsys.readouterr().out
    assert "teacher 2 of 2" in shown
    assert "supervised, distilled" in shown


def test_options_may_be_mended_while_nothing_has_been_trained(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert distill(made / "data", out, "--training.start_from", str(tmp_path / "nowhere")) == 2
    assert not (out / "teachers").exists()
    assert distill(made / "data", out, "--teachers", "1") == 0
    assert RunFolder(out / "student").finished()


WRONG = {
    "other options": ("was begun with other options", ["--training.lr", "0.5"]),
    "more teachers": ("was begun with other options", ["--teachers", "3"]),
    "no number": ("--teachers should be a whole number above 0, not 'two'", ["--teachers", "two"]),
    "none": ("--teachers should be at least 1", ["--teachers", "0"]),
    "a network per task": ("--objective stl trains a network per task", ["--objective", "stl"]),
    "an unknown task": ("has no 'edges'", ["--tasks", "edges"]),
    "several processes": ("distill trains in one process", ["--training.devices", "2"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_one_line_before_anything_trains(
    case: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message, words = WRONG[case]
    begun = "begun with" in message
    capsys.readouterr()
    assert distill(made / "data", made / "out" if begun else tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_data_that_cannot_be_filled_is_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(data: Path, out: Path, *words: str) -> str:
        capsys.readouterr()
        assert distill(data, out, *words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "there is nothing to fill" in refused(made / "data", tmp_path / "out", "--data.regime", "full")
    assert "should lie outside the data set" in refused(made / "data", made / "data/out")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").touch()
    assert "exists already and is no distillation" in refused(made / "data", tmp_path / "taken")
    assert main(["convert", str(made / "data"), str(tmp_path / "packed")]) == 0
    assert "--to folder" in refused(tmp_path / "packed", tmp_path / "out")
    assert "--out is missing" in (main(["distill", *OPTIONS]), capsys.readouterr().err)[1]
    assert "--data.root is missing" in (main(["distill", "--out", "x", *OPTIONS]), capsys.readouterr().err)[1]
