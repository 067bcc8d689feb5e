"""Decoded images stay in memory as long as there is room for them."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from test_regimes import Memory, equal

from mtpsl.data import cache, free_memory, store
from mtpsl.data.cache import SampleCache, packed_size, third_of_free_memory
from mtpsl.data.partial import PartialDataset
from mtpsl.data.store import HEAD, Store
from mtpsl.structures import Sample


def kept(dataset: Memory, limit: int | None, folder: Path | None = None) -> PartialDataset:
    partial = PartialDataset(dataset, dataset.available, cache=False)
    partial.keep_in(SampleCache(len(dataset.keys), [*dataset.tasks], limit, folder))
    return partial


def read_all(partial: PartialDataset) -> list[Sample]:
    return [partial[index] for index in range(len(partial))]


def test_what_does_not_fit_is_read_again_and_the_same():
    dataset = Memory()
    one = packed_size(dataset.read(0, [*dataset.tasks]))
    partial = kept(dataset, 2 * one + one // 20)
    read_all(partial)
    assert partial.cached == 2
    assert partial.cached_bytes == 2 * one
    dataset.opened.clear()
    again = read_all(partial)
    assert [index for index, _ in dataset.opened] == [2, 3]
    for index in range(4):
        assert equal(again[index], dataset.read(index, [*dataset.tasks]))
    assert (partial.cached, partial.cached_bytes) == (2, 2 * one)


def test_a_few_images_tell_how_much_all_take():
    dataset = Memory(40)
    partial = kept(dataset, None)
    estimate = partial.estimate_bytes(4)
    assert len(dataset.opened) == 4
    read_all(partial)
    assert estimate == pytest.approx(partial.cached_bytes, rel=0.02)


@pytest.mark.parametrize("on_disk", [False, True])
def test_each_label_regime_gets_its_own_labels_from_a_cache_that_several_share(on_disk: bool, tmp_path: Path):
    dataset = Memory()
    cache = SampleCache(4, [*dataset.tasks], None, tmp_path if on_disk else None)
    for mask in (torch.eye(4, dtype=torch.bool), dataset.available, torch.eye(4, dtype=torch.bool).flip(0)):
        partial = PartialDataset(dataset, mask, cache=False)
        partial.keep_in(cache)
        for _ in range(2):
            for index, row in enumerate(mask.tolist()):
                names = [name for name, shown in zip(dataset.tasks, row, strict=True) if shown]
                assert equal(partial[index], dataset.read(index, names))


def test_a_derived_label_is_not_taken_for_one_that_exists():
    dataset = Memory(1)
    derived, real = (dataset.read(0, ["depth"]) for _ in range(2))
    derived.targets["depth"] = derived.targets["depth"] + 1
    cache = SampleCache(1, [*dataset.tasks])
    cache.add(0, derived, ["depth"])
    assert cache.get(0, "a", ["depth"], []) is None
    cache.add(0, real, [])
    assert torch.equal(cache.get(0, "a", ["depth"], []).targets["depth"], real.targets["depth"])
    assert torch.equal(cache.get(0, "a", ["depth"], ["depth"]).targets["depth"], derived.targets["depth"])


@pytest.mark.parametrize(("start", "on_disk"), [("fork", False), ("fork", True), ("spawn", False)])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_share_what_any_of_them_has_read(start: str, on_disk: bool, tmp_path: Path):
    store = Store(9, 10_000, tmp_path if on_disk else None)
    context = multiprocessing.get_context(start)
    writers = [context.Process(target=fill, args=(store, number)) for number in range(3 if start == "fork" else 1)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
        assert one.exitcode == 0
    written = [entry for entry in range(9) if entry % 3 < len(writers)]
    assert [entry for entry in range(9) if entry in store] == written
    assert all(store.read(entry) == bytes([entry]) * 100 for entry in written)
    assert store.used == len(written) * (100 + HEAD.size)


def fill(store: Store, number: int) -> None:
    for entry in range(number, 9, 3):
        assert store.write(entry, bytes([entry]) * 100)


def test_a_copy_on_disk_is_found_again_and_goes_on_where_it_was_interrupted(tmp_path: Path):
    dataset = Memory()
    _ = kept(dataset, None, tmp_path)[1]
    dataset.opened.clear()
    again = kept(dataset, None, tmp_path)
    samples = read_all(again)
    assert [index for index, _ in dataset.opened] == [0, 2, 3]
    assert all(equal(sample, dataset.read(index, [*dataset.tasks])) for index, sample in enumerate(samples))
    dataset.opened.clear()
    read_all(kept(dataset, None, tmp_path))
    assert not dataset.opened


def test_a_writer_killed_in_the_middle_leaves_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = Store(3, 1000, tmp_path)
    one.write(0, b"first")

    def die(handle: int, content: bytes, place: int) -> None:
        os.pwrite(handle, content[:20], place)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write_all", die)
    with pytest.raises(KeyboardInterrupt):
        one.write(1, b"second, long enough to be cut")
    monkeypatch.undo()
    again = Store(3, 1000, tmp_path)
    assert [again.read(entry) for entry in range(3)] == [b"first", None, None]
    assert again.write(1, b"second")
    assert [again.read(entry) for entry in range(3)] == [b"first", b"second", None]


@pytest.mark.parametrize("damage", ["bytes", "cut"])
def test_damaged_bytes_of_a_copy_are_read_from_the_source_again(damage: str, tmp_path: Path):
    dataset = Memory()
    read_all(kept(dataset, None, tmp_path))
    path = tmp_path / "data"
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content if damage == "bytes" else content[: len(content) // 2])
    for _ in range(2):
        samples = read_all(kept(dataset, None, tmp_path))
        assert all(equal(sample, dataset.read(index, [*dataset.tasks])) for index, sample in enumerate(samples))


def test_a_full_disk_ends_the_copy_and_not_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(handle: int, content: bytes, place: int) -> None:
        raise OSError(28, "No space left on device")

    dataset = Memory()
    partial = kept(dataset, None, tmp_path)
    _ = partial[0]
    monkeypatch.setattr(store, "write_all", refuse)
    samples = read_all(partial)
    assert all(equal(sample, dataset.read(index, [*dataset.tasks])) for index, sample in enumerate(samples))
    assert partial.cached == 1


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_of_a_machine_share_a_third_of_what_is_free(processes: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(free_memory, "machine_memory", lambda: 3600)
    monkeypatch.setattr(free_memory, "cgroup_memory", lambda: iter([1800, 5000]))
    monkeypatch.setattr(free_memory, "own_memory", lambda: 1000)
    assert third_of_free_memory(processes) == min(1800 // processes, 1000) // 3


def test_where_the_system_says_nothing_there_is_no_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache, "free_memory", lambda processes: None)
    assert third_of_free_memory(1) is None


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
