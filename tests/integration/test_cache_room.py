"""Images are kept in memory while there is room; what is not kept, and a lack of memory, is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import PLAIN, write_dataset

from mtpsl.cli import main
from mtpsl.data.cache import Room
from mtpsl.errors import UserError
from mtpsl.training import run, run_data
from mtpsl.training.malloc import memory_needed

IMAGE = 32 * 64 * (3 + 1 + 1)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    options = {"--network.width": "0.125", "--training.batch_size": "2", "--training.epochs": "1"}
    options |= {"--training.sheets": "0", "--training.accelerator": "cpu", "--objective": "supervised"}
    options |= {"--tasks": "segmentation", "--data.root": str(write_dataset(tmp_path / "data"))}
    flat = [word for pair in options.items() for word in pair]
    return ["train", *PLAIN, *flat, "--out", str(tmp_path / "run"), "--quiet"]


def test_a_line_says_what_does_not_fit_and_training_reads_it_in_every_epoch(words, monkeypatch, capsys):
    monkeypatch.setattr(run_data, "third_of_free_memory", lambda processes: Room(4 * IMAGE + 1))
    assert main(words) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if "memory" in line]
    assert len(notes) == 1
    assert "4 of 6 training images and 0 of 3 validation images are kept in memory" in notes[0]
    assert "--data.cache false" in notes[0]


def test_nothing_is_said_where_all_fit(words, capsys):
    assert main(words) == 0
    assert "memory" not in capsys.readouterr().err


def test_a_broken_picture_that_does_not_fit_is_named_when_it_is_read(words, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_data, "third_of_free_memory", lambda processes: Room(IMAGE))
    broken = tmp_path / "data" / "train" / "image" / "005.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) - 40])
    assert main(words) == 2
    assert str(broken) in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")])
def test_a_lack_of_memory_is_one_line_that_names_what_needs_less(error, words, monkeypatch, capsys):
    def fill(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(run, "fill_caches", fill)
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    for part in ("not enough memory", "--training.batch_size", "--data.size", "--data.cache false"):
        assert part in lines[0]


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="sizes") as caught, memory_needed("less"):
        raise RuntimeError("sizes differ")
    assert not isinstance(caught.value, UserError)
