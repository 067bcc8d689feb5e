"""Data that changes under a run: one line with the file, the last good state kept, and the same end once mended."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import SMALL, write_dataset
from PIL import Image

from mtpsl.cli import main
from mtpsl.training.module import TrainingModule
from mtpsl.training.run_folder import RunFolder

LOST = "train/depth/001.png"


def remove(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:30])


def resize(file: Path) -> None:
    Image.fromarray(np.ones((16, 16), np.uint16)).save(file)


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a label that vanishes": (remove, "No such file"),
    "a label that is cut off": (cut, "cannot be read"),
    "a label of another size": (resize, "should have its image's size"),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", train=4, val=1, size=(32, 32))


def command(data: Path, out: Path, *more: str) -> list[str]:
    options = ["--objective.name", "supervised", "--training.epochs", "2", "--training.report", "false"]
    options += ["--data.cache", "none", "--training.sheets", "0"]
    return ["train", *SMALL[:4], *SMALL[8:], *options, "--data.root", str(data), "--out", str(out), *more]


def after_first_epoch(act: Callable[[], object], patch: pytest.MonkeyPatch) -> None:
    start = TrainingModule.on_train_epoch_start

    def acting(self: TrainingModule) -> None:
        if self.current_epoch == 1:
            act()
        start(self)

    patch.setattr(TrainingModule, "on_train_epoch_start", acting)


def weights(run: Path) -> dict[str, Any]:
    return RunFolder(run).load_checkpoint()["state_dict"]


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("case", CHANGES)
def test_a_run_stops_with_the_files_name_and_goes_on_when_it_is_back(
    case: str,
    workers: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change, reason = CHANGES[case]
    kept = tmp_path / "kept.png"
    shutil.copy(data / LOST, kept)
    assert main(command(data, tmp_path / "whole", "--data.workers", workers)) == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        after_first_epoch(lambda: change(data / LOST), patch)
        assert main(command(data, tmp_path / "run", "--data.workers", workers)) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert str(data / LOST) in error
    assert reason in error
    assert f"mtpsl train --resume {tmp_path / 'run'}" in error
    assert RunFolder(tmp_path / "run").load_checkpoint()["epoch"] == 0
    shutil.copy(kept, data / LOST)
    assert main(["train", "--resume", str(tmp_path / "run"), "--quiet"]) == 0
    torch.testing.assert_close(weights(tmp_path / "run"), weights(tmp_path / "whole"), rtol=0, atol=0)


def test_a_run_may_leave_out_what_breaks_under_it(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    after_first_epoch(lambda: cut(data / LOST), monkeypatch)
    assert main(command(data, tmp_path / "run", "--data.broken", "skip")) == 0
    assert f"left out: {data / LOST}" in capfd.readouterr().err  # a worker says so
    assert (tmp_path / "run" / "broken.csv").read_text().startswith("001,")
    assert main(["report", str(tmp_path / "run")]) == 0
    report = (tmp_path / "run" / "report.html").read_text()
    assert "<dt>left out as broken</dt><dd>1 training image (broken.csv): 001</dd>" in report


@pytest.mark.parametrize("change", ["an image more", "a label less"])
def test_a_run_is_not_continued_on_other_data(
    change: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        after_first_epoch(lambda: remove(data / LOST), patch)
        assert main(command(data, tmp_path / "run")) == 2
    if change == "an image more":
        shutil.copy(data / "train/depth/000.png", data / LOST)
        for kind in ("image", "segmentation", "depth", "normals"):
            shutil.copy(data / f"train/{kind}/000.png", data / f"train/{kind}/004.png")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["train", "--resume", str(tmp_path / "run"), "--quiet"]) == 2
    assert "are not those that it was trained on so far" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
