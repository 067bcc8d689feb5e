"""A killed conversion continues and ends with the bytes of an uninterrupted one."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest
import torch

from folder_sets import write_folder_set
from mtpsl.cli import main
from mtpsl.data import convert_dataset
from mtpsl.data.registry import recognize


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def convert(source: Path, out: Path, to: str) -> None:
    torch.set_num_threads(1)
    small = {"shard_mb": 0.05} if to == "shards" else {}
    convert_dataset(source, out, to=to, progress=False, **small)  # type: ignore[arg-type]


FIRST = {"packed": "train.journal", "shards": "train.journal", "folder": "train/image/000.png"}
"""What each form writes early."""


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(("to", "first"), FIRST.items())
def test_a_killed_conversion_ends_with_the_same_files(tmp_path: Path, capsys, to: str, first: str) -> None:
    source = write_folder_set(tmp_path / "source", splits={"train": 40, "val": 2}, size=(48, 64))
    out, begun = tmp_path / "killed", tmp_path / ".killed.partial" / first
    # a forked process has imported everything already
    process = multiprocessing.get_context("fork").Process(target=convert, args=(source, out, to))
    process.start()
    deadline = time.monotonic() + 30
    while not (begun.exists() and begun.stat().st_size) and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.0005)
    process.kill()
    process.join()
    assert begun.exists()
    assert not out.exists()
    assert recognize(out) is None
    assert main(["check", str(out)]) == 2
    words = ["--to", to, *(["--shard_mb", "0.05"] if to == "shards" else [])]
    assert main(["convert", str(source), str(out), *words]) == 0
    assert main(["convert", str(source), str(tmp_path / "whole"), *words]) == 0
    assert "40 train, 2 val images; next: mtpsl train --data.root" in capsys.readouterr().out
    assert contents(out) == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "source", "whole"]
