"""A disk that is full, or becomes read-only: one line, the last good state kept, and the same end once it is mended."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command import SMALL, write_dataset

from mtpsl.cli import main
from mtpsl.training import run as training_run
from mtpsl.training.module import TrainingModule
from mtpsl.training.run_folder import RunFolder
from small_disk import PAGE, Disk, need_disk, on_disk, said

FULL = "No space left on device: make room on its disk"
LOCKED = "Read-only file system: its file system has to be mounted for writing"

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "small", train=4, val=2, size=(32, 32))


def command(data: Path, out: Path, *more: str) -> list[str]:
    options = ["--objective.name", "supervised", "--training.epochs", "2", "--training.validate_every", "1"]
    options += ["--training.sheets", "0", "--training.report", "false"]
    return ["train", *SMALL[:4], *SMALL[8:], *options, "--data.root", str(data), "--out", str(out), *more]


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    assert main(command(data, out)) == 0
    return out


@pytest.fixture
def place(tmp_path: Path) -> Path:
    need_disk(tmp_path / "disk")
    return tmp_path / "disk"


def before_step(number: int, act: Callable[[], object], patch: pytest.MonkeyPatch) -> None:
    """Do something before a step of the training, counted from 1."""
    step = TrainingModule.training_step

    def acting(self: TrainingModule, batch: Any, index: int) -> torch.Tensor:
        if self.current_epoch * self.trainer.num_training_batches + index + 1 == number:
            act()
        return step(self, batch, index)

    patch.setattr(TrainingModule, "training_step", acting)


def end_of(path: Path) -> dict[str, Any]:
    stored = RunFolder(path).load_checkpoint()
    rows = [line.split(",") for line in (path / "metrics.csv").read_text().splitlines()]
    seconds = rows[0].index("seconds")
    return {
        "weights": {name: x.clone() for name, x in stored["state_dict"].items()},
        "rows": [row[:seconds] + row[seconds + 1 :] for row in rows],
        "scores": RunFolder(path).read_scores(),
    }


def assert_same_end(found: dict[str, Any], whole: Path) -> None:
    wanted = end_of(whole)
    torch.testing.assert_close(found.pop("weights"), wanted.pop("weights"), rtol=0, atol=0)
    assert found == wanted


FAILING: dict[str, tuple[int, int]] = {
    "checkpoints/middle.ckpt": (1, PAGE),
    "metrics.csv": (4, 0),
    "curves.png": (4, PAGE),
    "checkpoints/last.ckpt": (4, 100 * PAGE),
}
"""The file that finds a full disk, the step before which that is filled, and the bytes that are left."""


@pytest.mark.parametrize("file", FAILING)
def test_a_run_on_a_full_disk_goes_on_once_there_is_room(file: str, data: Path, whole: Path, place: Path) -> None:
    step, left = FAILING[file]
    out = place / "run"
    minutes = "1e-6" if "middle" in file else "0"

    def action(disk: Disk) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            before_step(step, lambda: disk.fill(left), patch)
            found = said(command(data, out, "--training.checkpoint_minutes", minutes))
        kept = RunFolder(out).load_checkpoint()["epoch"] if step > 2 else None
        left_over = [str(path.relative_to(out)) for path in out.rglob("*") if path.name.startswith((".", "unfinished"))]
        disk.free()
        again = said(["train", "--resume", out, "--quiet"])
        return found, kept, left_over, again, end_of(out)

    (status, lines), kept, left_over, again, end = on_disk(place, action)
    assert status == 2
    then = f"then `mtpsl train --resume {out}` continues where it was saved last"
    assert lines[-1] == f"mtpsl: {out / file}: {FULL}; {then}"
    assert len(lines) == 2  # the other one tells where images are kept
    assert kept == (0 if step > 2 else None)
    assert not left_over
    assert again[0] == 0
    assert_same_end(end, whole)


def test_a_folder_that_turns_read_only_is_named_and_the_run_goes_on_once_it_is_not(
    data: Path, whole: Path, place: Path
) -> None:
    out = place / "run"

    def action(disk: Disk) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            before_step(3, disk.lock, patch)
            found = said(command(data, out, "--training.checkpoint_minutes", "0"))
        still = said(["train", "--resume", out, "--quiet"])
        disk.lock(False)
        return (
            found,
            still,
            RunFolder(out).load_checkpoint()["epoch"],
            said(["train", "--resume", out, "--quiet"]),
            end_of(out),
        )

    found, still, epoch, again, end = on_disk(place, action)
    then = f"{LOCKED}; then `mtpsl train --resume {out}` continues where it was saved last"
    assert (found[0], found[1][-1]) == (2, f"mtpsl: {out}/metrics.csv: {then}")
    assert still[0] == 2
    assert still[1][-1].endswith(then)
    assert epoch == 0
    assert again[0] == 0
    assert_same_end(end, whole)


def test_what_is_drawn_at_the_end_is_drawn_once_there_is_room(data: Path, place: Path) -> None:
    out = place / "run"
    words = command(data, out, "--training.sheets", "1", "--training.report", "true", "--training.epochs", "1")

    def action(disk: Disk) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            draw = training_run.draw_pictures
            patch.setattr(training_run, "draw_pictures", lambda *given: (disk.fill(PAGE), draw(*given)))
            found = said(words)
        disk.free()
        with pytest.MonkeyPatch.context() as patch:
            write = training_run.report_after_training
            patch.setattr(training_run, "report_after_training", lambda *given: (disk.fill(PAGE), write(*given)))
            again = said(["train", "--resume", out, "--quiet"])
        disk.free()
        return found, again, said(["report", out])[0], [path.name for path in out.rglob("*") if path.is_file()]

    (status, lines), again, report, files = on_disk(place, action)
    assert status == 2
    assert lines[-1].startswith(f"mtpsl: {out}/pictures/sheets/000.png: {FULL}; then ")
    assert again[0] == 0
    assert f"note: {out}/report.html was not written" in again[1][-1]
    assert FULL.partition(":")[0] in again[1][-1]
    assert report == 0
    assert {"000.png", "report.html"} < {*files}


@pytest.mark.parametrize("left", [0, PAGE])
def test_nothing_is_left_of_a_run_that_cannot_begin(left: int, data: Path, place: Path) -> None:
    def action(disk: Disk) -> Any:
        disk.fill(left)
        return said(command(data, place / "run")), [path.name for path in place.iterdir()]

    (status, lines), there = on_disk(place, action)
    assert (status, lines[-1]) == (2, f"mtpsl: {place}/run cannot be written: {FULL}")
    assert there == ["ballast"]


def test_logs_of_other_tools_on_a_full_disk_are_one_line(data: Path, place: Path) -> None:
    out = place / "run"

    def action(disk: Disk) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            before_step(3, disk.fill, patch)
            found = said(command(data, out, "--training.logger", "[csv,tensorboard]"))
        disk.free()
        return found, said(["train", "--resume", out, "--quiet"]), (out / "csv" / "metrics.csv").read_text()

    (status, lines), again, log = on_disk(place, action)
    assert status == 2
    assert FULL in lines[-1]
    assert lines[-1].startswith(f"mtpsl: {out}")
    assert len(lines) == 2
    assert again[0] == 0
    assert [line[0] for line in log.splitlines()] == ["e", "0", "0", "1", "1"]  # losses and scores


@pytest.fixture
def largest_file() -> Iterator[Callable[[int], None]]:
    """Limits the size of files that this process may write, which anybody may do; of a full disk without a disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_that_is_cut_short_leaves_the_one_before(
    data: Path, whole: Path, tmp_path: Path, largest_file: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        before_step(4, lambda: largest_file(2**20), patch)
        assert main(command(data, out)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"mtpsl: {out}/checkpoints/last.ckpt: File too large: its file system, or `ulimit -f`," in line
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["last.ckpt"]
    largest_file(resource.RLIM_INFINITY)
    assert main(["train", "--resume", str(out), "--quiet"]) == 0
    assert_same_end(end_of(out), whole)
