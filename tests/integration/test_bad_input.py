"""Whatever a user gets wrong is one line, exit status 2, and nothing is lost."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command import SMALL, write_dataset
from PIL import Image

from mtpsl.cli import main
from mtpsl.shipped_files import find
from mtpsl.training.config import parse_config, read_options
from mtpsl.training.run_folder import RunFolder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", train=3, val=2)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mtpsl: ")
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    return error


def training(capsys: pytest.CaptureFixture[str], data: Path, *more: object) -> str:
    out = data.parent / "run"
    error = complaint(capsys, "train", "--data.root", data, "--out", out, *SMALL, *more)
    assert not out.exists()  # found before training
    return error


def replace(path: Path, values: np.ndarray) -> None:
    path.unlink()
    if values.dtype.kind == "f":
        np.save(path.with_suffix(".npy"), values)
    else:
        Image.fromarray(values).save(path)


def only_png(folder: Path) -> Path:
    return sorted(folder.glob("*.png"))[0]


BREAK: dict[str, tuple[Callable[[Path], object], str]] = {
    "a missing folder": (shutil.rmtree, "data"),
    "no image": (lambda data: [path.unlink() for path in (data / "train" / "image").iterdir()], "image"),
    "a label of another size": (
        lambda data: replace(only_png(data / "train" / "segmentation"), np.zeros((16, 16), np.uint8)),
        "segmentation/000.png",
    ),
    "a class out of range": (
        lambda data: replace(only_png(data / "train" / "segmentation"), np.full((32, 64), 3, np.uint8)),
        "segmentation/000.png",
    ),
    "a NaN in depth": (
        lambda data: replace(only_png(data / "train" / "depth"), np.full((32, 64), np.nan, np.float32)),
        "depth/000.npy",
    ),
    "negative depth": (
        lambda data: replace(only_png(data / "train" / "depth"), np.full((32, 64), -1.0, np.float32)),
        "depth/000.npy",
    ),
    "a broken picture": (
        lambda data: (data / "train" / "image" / "000.png").write_bytes(b"\x89PNG\r\n\x1a\n broken"),
        "image/000.png",
    ),
    "a truncated label": (
        lambda data: (data / "val" / "depth" / "000.png").write_bytes(
            (data / "val" / "depth" / "000.png").read_bytes()[:60]
        ),
        "depth/000.png",
    ),
    "a task without any label": (
        lambda data: [path.unlink() for path in (data / "train" / "depth").iterdir()],
        "depth",
    ),
    "labels of one class only": (
        lambda data: [
            replace(path, np.zeros((32, 64), np.uint8)) for path in [*(data / "train" / "segmentation").iterdir()]
        ],
        "no pixel of another class than a",
    ),
    "no description": (lambda data: (data / "dataset.yaml").unlink(), "dataset.yaml"),
    "a description that executes": (
        lambda data: (data / "dataset.yaml").write_text("!!python/object/apply:os.system ['touch /tmp/never']"),
        "dataset.yaml",
    ),
}


@pytest.mark.parametrize("name", BREAK)
def test_broken_data(name: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    breaking, named = BREAK[name]
    breaking(data)
    assert named in training(capsys, data)


def test_an_image_without_any_label_is_skipped_with_a_note(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for task in ("segmentation", "depth", "normals"):
        (data / "train" / task / "001.png").unlink()
    assert "'001' has no label" in training(capsys, data, "--data.unlabelled", "refuse")
    assert main(["train", "--data.root", str(data), "--training.epochs", "1", "--out", str(data / "run"), *SMALL]) == 0
    assert "note 1 of 3 training images have no label of any task and are skipped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--objective", "cros_task"], "cross_task"),
        (["--network", "segment"], "segnet"),
        (["--tasks", "[depth,saliency]"], "saliency"),
        (["--training.epochz", "3"], "epochz"),
        (["--training.epochs", "many"], "epochs"),
        (["--training.epochs", "0"], "epochs"),
        (["--objective.weigth", "3"], "weigth"),
        (["--objective.term.weight", "-1"], "term.weight"),
        (["--data.size", "[0,64]"], "data.size"),
        (["--data.regime", "two"], "regime"),
        (["--data.regime", "ratio"], "--data.ratio 1,9"),
        (["--data.regime", "ratio", "--data.ratio", "[1,9]"], "depth, normals, segmentation"),
        (["--data.regime", "ratio", "--data.ratio", "[1,1,-1]"], "none negative"),
        (["--data.regime", "ratio", "--data.ratio", "[0,0,0]"], "--data.ratio"),
        (["--data.regime", "ratio", "--data.ratio", "[0,1,1]"], "'depth' has no label left"),
        (["--data.ratio", "[1,1,1]"], "data.regime ratio"),
        (["--data.regime", "semi"], "--data.share 0.333"),
        (["--data.regime", "semi", "--data.share", "1.5"], "share"),
        (["--data.regime", "semi", "--data.share", "nan"], "share"),
        (["--data.regime", "semi", "--data.share", "0.1"], "raise --data.share"),
        (["--data.regime", "one", "--data.share", "0.5"], "data.regime semi"),
        (["--data.regime", "file"], "--data.labels FILE"),
        (["--data.regime", "file", "--data.labels", "absent.csv"], "absent.csv"),
        (["--data.labels", "absent.csv"], "data.regime file"),
        (["--data.train_split", "fit"], "--data.train_split"),
        (["--data.limit", "100"], "limit"),
        (["--tasks", "[depth]"], "depth"),
        (["--training.scales", "[0.5]"], "scales"),
        (["--training.batch_size", "0"], "batch_size"),
        (["--training.weight_decay", "-1"], "weight_decay"),
        (["--training.sheets", "-1"], "sheets"),
        (["--data.workers", "-1"], "workers"),
        (["--objective.mapping.width", "-1"], "mapping.width should be positive"),
        (["--objective.mapping.lr", "-1"], "mapping.lr should be positive"),
        (["--objective.mapping.film_halving", "-5"], "film_halving"),
        (["--objective.losses.task_weights", "{depth: -3}"], "weight of task depth should not be negative"),
        (["--objective.extensions.balance", "true", "--weighting", "gradnorm"], "use one of the two"),
        (["--data.name", "scenes"], "--data.name auto"),
        (["--tasks", "{depth: 1}"], "--tasks should be a list such as a,b, not {'depth': 1}"),
        (["--data.size", "64"], "--data.size should be two whole numbers such as 96,128, not 64"),
        (["--data.regime", "two"], "--data.regime should be full, one, random, ratio, semi or file, not two"),
        (["--training.clip", "often"], "--training.clip should be a number, not often"),
    ],
)
def test_wrong_options(words: list[str], named: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert named in training(capsys, data, *words)


LISTS = {
    "another length": ("list.csv", "key,segmentation,depth,normals\n000,1,1,1\n"),
    "an unknown image": ("list.yaml", "{segmentation: ['000'], depth: ['7'], normals: ['001']}"),
    "an unknown task": ("list.yaml", "{segmentation: ['000'], depth: ['1'], normals: ['001'], edges: ['002']}"),
    "a task column missing": ("list.csv", "key,segmentation,depth\n000,1,1\n001,1,1\n002,1,1\n"),
    "a task without any label": ("list.yaml", "{segmentation: ['000'], depth: [], normals: ['001']}"),
    "a pickle in a picture's clothes": ("list.npy", "cos\nmkdir\n(S'executed'\ntR."),
    "no list": ("list.txt", "000"),
}


@pytest.mark.parametrize("name", LISTS)
def test_wrong_lists_of_labels(name: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, content = LISTS[name]
    (data.parent / file).write_text(content)
    assert file in training(capsys, data, "--data.regime", "file", "--data.labels", data.parent / file)


def test_wrong_commands(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "trian" in complaint(capsys, "trian")
    assert "no_such" in complaint(capsys, "train", "no_such_recipe", "--out", tmp_path / "x")
    assert "--out" in complaint(capsys, "train", "--data.root", data)
    assert "data.root" in complaint(capsys, "train", "--out", tmp_path / "x")
    assert "absent" in complaint(capsys, "check", tmp_path / "absent")
    assert "absent" in complaint(capsys, "evaluate", tmp_path / "absent")
    assert "absent" in complaint(capsys, "compare", tmp_path / "absent")
    assert "absent" in complaint(capsys, "train", "--resume", tmp_path / "absent")
    assert complaint(capsys, "predict", tmp_path / "absent", data, "--out", tmp_path / "p")
    assert "data" in complaint(capsys, "scenes", data)


def test_an_output_folder_that_exists_is_kept(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data.parent / "precious"
    out.mkdir()
    (out / "thesis.txt").write_text("years")
    assert "precious" in complaint(capsys, "train", "--data.root", data, "--out", out, *SMALL)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_check_lists_what_is_wrong(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(data)]) == 0
    BREAK["a class out of range"][0](data)
    assert main(["check", str(data)]) == 2
    assert "000" in capsys.readouterr().out


class Evil:
    """Leaves a file behind when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.mark,)


def test_strangers_runs_execute_nothing(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", "--data.root", str(data), "--training.epochs", "1", "--out", str(out), *SMALL]) == 0
    checkpoint, mark = out / "checkpoints" / "last.ckpt", tmp_path / "executed"
    original = checkpoint.read_bytes()
    for content in (pickle.dumps(Evil(mark)), b"", original[: len(original) // 2]):
        checkpoint.write_bytes(content)
        assert "last.ckpt" in complaint(capsys, "predict", out, data / "val" / "image", "--out", tmp_path / "p")
        assert "last.ckpt" in complaint(capsys, "train", "--resume", out)
    torch.save({"state_dict": {}, "epoch": 0, "evil": Evil(mark)}, checkpoint)
    assert "last.ckpt" in complaint(capsys, "evaluate", out)
    assert not mark.exists()

    checkpoint.write_bytes(original)
    tasks = json.loads((out / "tasks.json").read_text())
    (out / "tasks.json").write_text(json.dumps(tasks[:2]))
    assert "normals" in complaint(capsys, "predict", out, data / "val" / "image", "--out", tmp_path / "p")
    (out / "tasks.json").write_text("[1]")
    assert "tasks.json" in complaint(capsys, "predict", out, data / "val" / "image", "--out", tmp_path / "p")
    (out / "config.yaml").write_text("!!python/object/apply:os.mkdir ['" + str(mark) + "']")
    assert "config.yaml" in complaint(capsys, "predict", out, data / "val" / "image", "--out", tmp_path / "p")
    assert not mark.exists()


def test_a_diverging_training_says_so(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--training.lr", "1e30", "--training.epochs", "3", "--out", data.parent / "run", *SMALL]
    assert main([*map(str, ["train", "--data.root", data, *options])]) == 2
    *said, error = capsys.readouterr().err.splitlines()
    assert error.startswith("mtpsl: ")
    assert "--training.lr" in error
    assert not any("Traceback" in line for line in said)


def test_a_checkpoint_of_another_network_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data.parent / "run"
    assert main(["train", "--data.root", str(data), "--training.epochs", "1", "--out", str(out), *SMALL]) == 0
    config = (out / "config.yaml").read_text()
    (out / "config.yaml").write_text(config.replace("width: 0.125", "width: 0.25", 1))
    assert "last.ckpt" in complaint(capsys, "evaluate", out)
    assert "network.width is 0.25 now" in complaint(capsys, "train", "--resume", out, "--quiet")


def test_a_folder_that_cannot_be_written_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = data.parent / "file"
    blocked.write_text("not a folder")
    assert "file" in complaint(capsys, "train", "--data.root", data, "--out", blocked / "run", *SMALL)
    assert "file" in complaint(capsys, "scenes", blocked / "scenes", "--train", "1", "--val", "1")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_an_absent_accelerator_is_named_before_the_folder_is_made(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "training.accelerator gpu" in training(capsys, data, "--training.accelerator", "gpu")


def test_a_demo_that_was_begun_with_other_options_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunFolder(tmp_path / "supervised").create(parse_config([], read_options(find("recipes", "demo"))), [])
    assert main(["demo", "--out", str(tmp_path), "--seed", "7"]) == 2
    assert "was begun with seed 0, not 7: choose another --out" in capsys.readouterr().err


def test_options_of_training_are_not_passed_over_by_other_commands(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--data.name is unknown: did you mean --name?" in complaint(capsys, "check", data, "--data.name", "nyud")
    assert "--data.size is unknown" in complaint(capsys, "convert", data, data.parent / "out", "--data.size=32,32")
