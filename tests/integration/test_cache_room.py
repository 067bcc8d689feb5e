"""Where images are kept while a run reads them, what is said of it, and what becomes of broken ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from command import PLAIN, write_dataset

from mtpsl.cli import main
from mtpsl.data.broken import read_broken
from mtpsl.errors import UserError
from mtpsl.training import reading, run
from mtpsl.training.malloc import memory_needed
from mtpsl.training.reading import Room, choose_place, choose_workers

GB = 10**9


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    options = {"--network.width": "0.125", "--training.batch_size": "2", "--training.epochs": "2"}
    options |= {"--training.sheets": "0", "--training.accelerator": "cpu", "--objective": "supervised"}
    options |= {"--training.report": "false", "--training.validate_every": "1", "--data.workers": "0"}
    options |= {"--tasks": "segmentation", "--data.root": str(write_dataset(tmp_path / "data"))}
    options |= {"--data.cache_folder": str(tmp_path / "copies")}
    return ["train", *PLAIN, *[word for pair in options.items() for word in pair], "--quiet"]


def trained(words: list[str], out: Path, *more: str) -> dict[str, torch.Tensor]:
    assert main([*words, "--out", str(out), *more]) == 0
    return torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def alike(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("wanted", "room", "packed", "place", "part"),
    [
        ("auto", Room(3 * GB, 4 * GB, None), False, "memory", "of 4.0 GB"),
        ("auto", Room(3 * GB, None, None), False, "memory", "3.0 GB"),
        ("auto", Room(5 * GB, 4 * GB, 6 * GB), False, "disk", "more than 4.0 GB"),
        ("auto", Room(5 * GB, 4 * GB, 4 * GB), False, "none", "--data.cache_limit"),
        ("auto", Room(5 * GB, 4 * GB, None), False, "none", "nothing tells"),
        ("auto", Room(5 * GB, 4 * GB, 9 * GB), True, "none", "packed already"),
        ("memory", Room(5 * GB, 4 * GB, 9 * GB), False, "memory", "what does not fit is read in every epoch"),
        ("disk", Room(1 * GB, 4 * GB, 9 * GB), False, "disk", "1.0 GB"),
        ("disk", Room(5 * GB, 4 * GB, 4 * GB), False, "disk", "what does not fit is read in every epoch"),
        ("none", Room(1, 4 * GB, 9 * GB), False, "none", "data.cache is none"),
    ],
)
def test_images_go_where_there_is_room_for_them(wanted, room, packed, place, part):
    found, why = choose_place(wanted, room, packed=packed)
    assert found == place
    assert part in why


def test_images_in_shards_are_not_copied_to_a_disk():
    for wanted in ("auto", "disk"):
        found, why = choose_place(wanted, Room(5 * GB, 4 * GB, 9 * GB), sharded=True)
        assert found == "none"
        assert "in shards, of which a few are read at a time" in why
    assert choose_place("auto", Room(3 * GB, 4 * GB, 9 * GB), sharded=True)[0] == "memory"


@pytest.mark.parametrize(
    ("cores", "processes", "gpu", "kept", "workers"),
    [(1, 1, False, False, 0), (2, 1, False, False, 1), (16, 1, False, False, 2), (16, 1, False, True, 0),
     (16, 1, True, True, 8), (16, 4, True, False, 3), (2, 4, True, False, 0)],
)  # fmt: skip
def test_workers_are_as_many_as_the_processors_leave(cores, processes, gpu, kept, workers, monkeypatch):
    monkeypatch.setattr(reading, "processors", lambda: cores)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpu)
    assert choose_workers("auto", processes, kept=kept) == workers
    assert choose_workers(5, processes) == 5


def test_every_place_trains_the_same_and_says_where_it_is(words, tmp_path, capsys, monkeypatch):
    found, said = {}, {}
    for place in ("memory", "disk", "none"):
        found[place] = trained(words, tmp_path / place, "--data.cache", place)
        said[place] = [line for line in capsys.readouterr().err.splitlines() if "workers 0" in line]
    monkeypatch.setattr(reading, "third_of_free_memory", lambda processes: 1000)
    found["auto"] = trained(words, tmp_path / "auto")
    said["auto"] = [line for line in capsys.readouterr().err.splitlines() if "workers 0" in line]
    assert all(alike(found["none"], one) for one in found.values())
    assert [len(lines) for lines in said.values()] == [1] * 4
    assert "images stay in memory once they are read" in said["memory"][0]
    assert f"copied to {tmp_path / 'copies'}" in said["disk"][0]
    assert "read in every epoch: data.cache is none" in said["none"][0]
    assert "more than 1e-06 GB that a third of the free memory is" in said["auto"][0]
    assert f"copied to {tmp_path / 'copies'}" in said["auto"][0]


def test_a_copy_on_disk_serves_later_runs_until_its_source_changes(words, tmp_path, capsys):
    data, copies = tmp_path / "data", tmp_path / "copies"
    before = trained(words, tmp_path / "a", "--data.cache", "disk")
    sizes = {path: path.stat().st_size for path in copies.glob("*/data")}
    assert len(sizes) == 2
    capsys.readouterr()
    picture = data / "train" / "image" / "001.png"
    hidden = picture.read_bytes()
    assert alike(before, trained(words, tmp_path / "b", "--data.cache", "disk"))
    assert sizes == {path: path.stat().st_size for path in copies.glob("*/data")}
    assert "made anew" not in capsys.readouterr().err
    picture.write_bytes((data / "train" / "image" / "002.png").read_bytes())
    os.utime(picture, ns=(1, 1))
    changed = trained(words, tmp_path / "c", "--data.cache", "disk")
    assert "made anew" in capsys.readouterr().err
    assert not alike(before, changed)
    assert alike(changed, trained(words, tmp_path / "d", "--data.cache", "none"))
    assert picture.read_bytes() != hidden


def test_a_copy_of_one_size_is_not_taken_for_another(words, tmp_path):
    trained(words, tmp_path / "a", "--data.cache", "disk")
    other = trained(words, tmp_path / "b", "--data.cache", "disk", "--data.size", "32,32")
    assert alike(other, trained(words, tmp_path / "c", "--data.cache", "none", "--data.size", "32,32"))


def test_a_limit_is_one_line_and_what_does_not_fit_is_read_as_it_comes(words, tmp_path, capsys, monkeypatch):
    limit = ["--data.cache_limit", "2e-5"]
    found = trained(words, tmp_path / "disk", "--data.cache", "disk", *limit)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "workers" in line]
    assert "what does not fit is read in every epoch; raise --data.cache_limit" in line
    assert 0 < sum(path.stat().st_size for path in (tmp_path / "copies").glob("*/data")) <= 20_000
    monkeypatch.setattr(reading, "third_of_free_memory", lambda processes: 1000)
    assert alike(found, trained(words, tmp_path / "auto", *limit, "--data.cache_folder", str(tmp_path / "new")))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "workers" in line]
    assert line.startswith("images are read in every epoch: ")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_one_line(words, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    trained(words, tmp_path / "run", "--data.cache", "disk", "--data.cache_folder", str(tmp_path / "file" / "copies"))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "workers" in line]
    assert "cannot be written" in line


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 40])


def test_a_broken_picture_is_named_when_it_is_read(words, tmp_path, capsys):
    broken = tmp_path / "data" / "train" / "image" / "005.png"
    cut(broken)
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    assert str(broken) in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("place", ["memory", "none"])
def test_a_broken_picture_that_is_skipped_is_counted_and_a_continued_run_is_the_same(place, words, tmp_path, capsys):
    cut(tmp_path / "data" / "train" / "image" / "003.png")
    cut(tmp_path / "data" / "train" / "segmentation" / "004.png")
    words += ["--data.broken", "skip", "--data.cache", place]
    whole = trained(words, tmp_path / "whole")
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if line.startswith("left out: ")]) == 2
    assert f"2 training images were left out as broken: {tmp_path / 'whole' / 'broken.csv'}" in said[-1]
    assert {*read_broken(tmp_path / "whole")} == {"003", "004"}
    assert json.loads((tmp_path / "whole" / "scores.json").read_text())["run"]["broken"] == 2
    trained([*words, "--training.epochs", "1"], tmp_path / "part")
    capsys.readouterr()
    assert main(["train", "--resume", str(tmp_path / "part"), "--training.epochs", "2", "--quiet"]) == 0
    assert "2 training images were left out" in capsys.readouterr().err.splitlines()[-1]
    again = torch.load(tmp_path / "part" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert alike(whole, again)
    assert len((tmp_path / "part" / "broken.csv").read_text().splitlines()) == 2


def test_a_run_that_stopped_at_a_broken_picture_goes_on_without_it(words, tmp_path, capsys):
    broken = tmp_path / "data" / "train" / "image" / "003.png"
    whole = broken.read_bytes()
    trained([*words, "--training.epochs", "1"], tmp_path / "run")
    broken.write_bytes(whole[: len(whole) - 40])
    assert main(["train", "--resume", str(tmp_path / "run"), "--training.epochs", "2", "--quiet"]) == 2
    assert str(broken) in capsys.readouterr().err
    more = ["--training.epochs", "2", "--data.broken", "skip", "--quiet"]
    assert main(["train", "--resume", str(tmp_path / "run"), *more]) == 0


def test_a_set_that_is_all_broken_is_not_skipped(words, tmp_path, capsys):
    for path in (tmp_path / "data" / "train" / "image").iterdir():
        cut(path)
    assert main([*words, "--out", str(tmp_path / "run"), "--data.broken", "skip"]) == 2
    assert "--data.broken skip finds none to use" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_broken_validation_images_are_not_skipped(words, tmp_path, capsys):
    broken = tmp_path / "data" / "val" / "image" / "001.png"
    cut(broken)
    assert main([*words, "--out", str(tmp_path / "run"), "--data.broken", "skip"]) == 2
    assert str(broken) in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")])
def test_a_lack_of_memory_is_one_line_that_names_what_needs_less(error, words, tmp_path, monkeypatch, capsys):
    def fill(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(run, "with_reading", fill)
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    for part in ("not enough memory", "--training.batch_size", "--data.size", "--data.cache none"):
        assert part in lines[0]


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="sizes") as caught, memory_needed("less"):
        raise RuntimeError("sizes differ")
    assert not isinstance(caught.value, UserError)
