"""Commands beside training on a full disk: one line, nothing half-written, and the same command goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import SMALL, write_dataset

from made_runs import make_run
from mtpsl.cli import main
from mtpsl.evaluation import resume
from small_disk import PAGE, Disk, need_disk, on_disk, said

FULL = "No space left on device: make room on its disk"

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_dataset(tmp_path_factory.mktemp("data") / "small", train=6, val=3, size=(64, 64))
    for image in (1, 4):
        (root / "train" / "depth" / f"{image:03}.png").unlink()
    return root


@pytest.fixture
def place(tmp_path: Path) -> Path:
    need_disk(tmp_path / "disk")
    return tmp_path / "disk"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("to", "left"), [("packed", 12 * PAGE), ("folder", 12 * PAGE), ("packed", 0)])
def test_a_conversion_goes_on_once_there_is_room(to: str, left: int, data: Path, place: Path) -> None:
    words = ["convert", data, place / "out", "--to", to]

    def action(disk: Disk) -> Any:
        disk.fill(left)
        found, there = said(words), (place / "out").exists()
        begun = len(contents(place / ".out.partial"))
        disk.free()
        return found, there, begun, said(words), contents(place / "out"), [path.name for path in place.iterdir()]

    (status, lines), there, begun, again, made, names = on_disk(place, action)
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"mtpsl: {place}/.out.partial/")
    assert f"{FULL}; then the same command continues" in lines[0]
    assert not there
    assert begun > 1 or not left
    assert again[0] == 0
    assert names == ["out"]
    whole = place.parent / "whole"
    assert main([*map(str, words[:2]), str(whole), "--to", to]) == 0
    assert made == contents(whole)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "run", ["--data.root", str(data)]).path


@pytest.mark.parametrize("left", [3 * PAGE, 8 * PAGE, 20 * PAGE])
def test_autolabel_goes_on_once_there_is_room(left: int, data: Path, trained: Path, place: Path) -> None:
    words = ["autolabel", trained, data, "--out", place / "out"]

    def action(disk: Disk) -> Any:
        disk.fill(left)
        found, there = said(words), (place / "out").exists()
        disk.free()
        return found, there, said(words), contents(place / "out"), [path.name for path in place.iterdir()]

    (status, lines), there, again, made, names = on_disk(place, action)
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"mtpsl: {place}/.out.partial/")
    assert f"{FULL}; then the same command continues" in lines[0]
    assert not there
    assert again[0] == 0
    assert names == ["out"]
    assert main([*map(str, words[:4]), str(place.parent / "whole")]) == 0
    assert made == contents(place.parent / "whole")


def test_an_evaluation_keeps_the_scores_before_and_prints_those_it_cannot_write(
    data: Path, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "SECONDS", 0.0)
    before = json.dumps({"scores": {}, "run": {"root": str(data)}})

    def action(disk: Disk) -> Any:
        out = make_run(place / "run", ["--data.root", str(data)]).path
        (out / "scores.json").write_text(before)
        disk.fill()
        found = said(["evaluate", out, "--batch_size", "1"])
        return found, contents(out)

    (status, lines), files = on_disk(place, action)
    assert (status, lines) == (2, [f"mtpsl: {place}/run/scores.json: {FULL}"])
    assert files["scores.json"].decode() == before
    assert not [name for name in files if "evaluation" in name or name.rpartition("/")[2].startswith(".")]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_list_of_broken_images_that_cannot_be_written_is_one_line(workers: str, place: Path) -> None:
    data = write_dataset(place.parent / "data", train=4, val=1, size=(32, 32))
    out = place / "run"
    options = ["--objective.name", "supervised", "--training.epochs", "1", "--training.report", "false"]
    options += ["--data.broken", "skip", "--data.cache", "none", "--data.workers", workers]
    words = ["train", *SMALL[:4], *SMALL[8:], *options, "--data.root", data, "--out", out]
    broken = data / "train" / "image" / "003.png"
    broken.write_bytes(broken.read_bytes()[:-40])

    def action(disk: Disk) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mtpsl.training.run.fit", filling(disk))
            found = said(words)
        disk.free()
        return found, said(["train", "--resume", out, "--quiet"])[0], (out / "broken.csv").read_text()

    (status, lines), again, listed = on_disk(place, action)
    assert status == 2
    assert lines[-1].startswith(f"mtpsl: {out}/broken.csv: {FULL}; then `mtpsl train --resume {out}` continues")
    assert again == 0
    assert [line[:4] for line in listed.splitlines()] == ["003,"]


def filling(disk: Disk) -> Any:
    """What trains, on a disk that is full by then."""
    from mtpsl.training.run import fit

    def filled(*given: Any) -> None:
        disk.fill()
        fit(*given)

    return filled
