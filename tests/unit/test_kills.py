"""The tool that kills commands: it notices what is lost, and kills where it says."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("inotify_simple", reason="pip install 'mtpsl[kills]'")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from folder_values import differences, values_of, varying
from killed_process import Moment, run

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def write_slowly() -> int:
    for number in range(200):
        with Path("numbers.csv").open("a") as file:
            file.write(f"{number}\n")
        time.sleep(0.005)
    return 3


def test_a_process_is_killed_at_a_change_of_its_folder_or_after_some_time(tmp_path: Path):
    work = tmp_path / "work"
    work.mkdir()
    ended = run(write_slowly, work, tmp_path / "log", Moment(change=10))
    assert (ended.killed, ended.last) == (True, "numbers.csv")
    assert 5 <= (work / "numbers.csv").read_text().count("\n") < 100
    ended = run(write_slowly, work, tmp_path / "log", Moment(seconds=0.05))
    assert ended.killed
    assert ended.seconds < 0.5
    whole = run(write_slowly, work, tmp_path / "log")
    assert (whole.killed, whole.status) == (False, 3)
    assert whole.changes >= 200


def test_values_tell_types_shapes_cells_and_hidden_files_apart(tmp_path: Path):
    folders = [tmp_path / name for name in "abc"]
    for number, folder in enumerate(folders):
        (folder / "in").mkdir(parents=True)
        torch.save({"x": torch.zeros(2, 3), "epoch": 1}, folder / "in" / "last.ckpt")
        (folder / "metrics.csv").write_text(f"epoch,seconds\n1,{number}\n2,{number + 1}\n")
        (folder / "scores.json").write_text('{"miou": [1.0, null]}')
        (folder / "picture.png").write_bytes(b"1")
    a, b, _ = (values_of(folder) for folder in folders)
    assert differences(a, b) == ["metrics.csv:/0/seconds", "metrics.csv:/1/seconds"]
    assert varying(a, b) == {"metrics.csv:/#/seconds"}
    torch.save({"x": torch.zeros(6), "epoch": 1}, folders[2] / "in" / "last.ckpt")
    (folders[2] / "in" / ".mtpsl-last-x.ckpt").touch()
    (folders[2] / "scores.json").write_text('{"miou": [1, null]}')
    (folders[2] / "picture.png").unlink()
    found = [place for place in differences(a, values_of(folders[2])) if "seconds" not in place]
    assert found == ["in/.mtpsl-last-x.ckpt:", "in/last.ckpt:/x", "picture.png:", "scores.json:/miou/0"]
    torch.save({"x": torch.zeros(2, 3, dtype=torch.float64), "epoch": 1}, folders[1] / "in" / "last.ckpt")
    assert "in/last.ckpt:/x" in differences(a, values_of(folders[1]))
