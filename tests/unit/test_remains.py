"""Files that a killed process left half-written are removed, those that are being written are not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from mtpsl.files import TEMPORARY, remove_remains, write_atomically


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_remains_of_a_killed_process_are_removed_and_files_being_written_stay(tmp_path: Path):
    folder = tmp_path / "run" / "checkpoints"
    process = os.fork()
    if not process:
        write_atomically(folder / "last.ckpt", lambda temporary: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(1)
    os.waitpid(process, 0)
    (left,) = folder.iterdir()
    assert left.name.startswith(f"{TEMPORARY}last-")
    (folder / "notes.txt").touch()

    def write(temporary: Path) -> None:
        remove_remains(tmp_path / "run")
        assert sorted(path.name for path in folder.iterdir()) == [temporary.name, "notes.txt"]
        temporary.write_text("whole")

    write_atomically(folder / "best.ckpt", write)
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "notes.txt"]
    assert (folder / "best.ckpt").read_text() == "whole"


def test_only_those_of_one_file_are_removed_beside_it(tmp_path: Path):
    names = [f"{TEMPORARY}scores-abc.json", f"{TEMPORARY}other-abc.json"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / names[0]).touch()
    remove_remains(tmp_path, "scores")
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted([names[1], "in", names[0]])
    remove_remains(tmp_path / "missing")
