"""Decoded images stay in memory as long as there is room for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_regimes import Memory, equal

from mtpsl.data import cache, free_memory
from mtpsl.data.cache import Room, third_of_free_memory
from mtpsl.data.partial import PartialDataset


def read_all(partial: PartialDataset) -> int:
    """Memory that the cache takes after reading ahead."""
    for _ in partial.read_ahead():
        pass
    return partial.cached_bytes


def test_what_does_not_fit_is_read_again_and_the_same():
    dataset = Memory()
    size = read_all(PartialDataset(dataset, dataset.available).subset([0]))
    room = Room(2 * size + size // 2)
    partial = PartialDataset(dataset, dataset.available, room=room)
    dataset.opened.clear()
    assert read_all(partial) == partial.cached_bytes == room.used == 2 * size
    assert partial.cached == 2
    read = len(dataset.opened)
    assert read == 3, "reading ahead goes on although the cache is full"
    for index in range(4):
        assert equal(partial[index], dataset.read(index, list(dataset.tasks)))
    assert partial.cached == 2


def test_caches_with_one_room_share_it():
    dataset = Memory()
    size = read_all(PartialDataset(dataset, dataset.available).subset([0]))
    room = Room(5 * size)
    first, second = (PartialDataset(dataset, dataset.available, room=room) for _ in range(2))
    assert (read_all(first), read_all(second)) == (4 * size, size)
    assert (first.cached, second.cached) == (4, 1)


def test_a_room_without_a_bound_takes_all():
    assert Room().reserve(2**60)
    assert Room().reserve(2**60)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_of_a_machine_share_a_third_of_what_is_free(processes: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(free_memory, "machine_memory", lambda: 3600)
    monkeypatch.setattr(free_memory, "cgroup_memory", lambda: iter([1800, 5000]))
    monkeypatch.setattr(free_memory, "own_memory", lambda: 1000)
    assert third_of_free_memory(processes).size == min(1800 // processes, 1000) // 3


def test_where_the_system_says_nothing_there_is_no_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache, "free_memory", lambda processes: None)
    assert third_of_free_memory(1).size is None


def test_a_limit_already_passed_leaves_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(free_memory, "own_memory", lambda: -5)
    assert free_memory.free_memory() == 0


@pytest.mark.parametrize(
    ("line", "folder", "limit", "use", "stat"),
    [
        ("0::/job/step\n", "job", "memory.max", "memory.current", "inactive_file"),
        ("5:devices:/\n4:cpu,memory:/job/step\n", "memory/job", "memory.limit_in_bytes", "memory.usage_in_bytes",
         "total_inactive_file"),
    ],
    ids=["version 2", "version 1"],
)  # fmt: skip
def test_the_control_groups_limit_counts_also_that_of_a_group_around(
    tmp_path: Path, line: str, folder: str, limit: str, use: str, stat: str
):
    around, inner, own = tmp_path / folder, tmp_path / folder / "step", tmp_path / "cgroup"
    inner.mkdir(parents=True)
    own.write_text(line)
    for group, most, used in ((around, "1000", "700"), (inner, "max", "600")):
        (group / limit).write_text(most + "\n")
        (group / use).write_text(used + "\n")
        (group / "memory.stat").write_text(f"anon 5\n{stat} 50\n")
    assert list(free_memory.cgroup_memory(tmp_path, own)) == [1000 - 700 + 50]


def test_a_machine_without_control_groups_is_no_error(tmp_path: Path):
    assert list(free_memory.cgroup_memory(tmp_path, tmp_path / "none")) == []


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_every_system_answers_or_says_that_it_does_not_know(platform: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(free_memory, "read_system_file", lambda path: "")
    monkeypatch.setattr(free_memory.sys, "platform", platform)
    monkeypatch.setattr(free_memory, "windows_memory", lambda: None)
    free = free_memory.free_memory()
    assert free is None if platform == "win32" else free > 2**20


def test_a_limit_of_address_space_is_noticed():
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    try:
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, hard))
        assert 2**29 < free_memory.own_memory() <= 2**30
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
