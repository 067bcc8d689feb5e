"""Where a run keeps the images that it has read, and how many processes read them; chosen before the first step."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch

from mtpsl.data.broken import BrokenImages
from mtpsl.data.cache import SampleCache, third_of_free_memory
from mtpsl.data.convert.provenance import Provenance
from mtpsl.data.disk_cache import open_copy, place_of, room_on_disk, source_of
from mtpsl.data.layouts.packed import PackedDataset
from mtpsl.data.layouts.shards import ShardsDataset
from mtpsl.data.partial import PartialDataset
from mtpsl.files import user_folder
from mtpsl.plugins import is_object
from mtpsl.training.config import RunConfig
from mtpsl.training.run_data import RunData

Place = Literal["memory", "disk", "none"]

OF_SAMPLES = ("description", "classes", "size", "score_size", "score_edges", "options")
"""The settings of data that decide, beside its files, what a sample is."""

MOST_WORKERS = 8
"""Processes that read beside one GPU: more of them seldom help."""


@dataclass(frozen=True)
class Room:
    """What there is room for, in bytes.

    Args:
        needed: what all images take when they are packed.
        memory: of this process; None where the system does not say.
        disk: for the copies of this run; None where its data cannot be copied.
    """

    needed: int
    memory: int | None
    disk: int | None


def with_reading(config: RunConfig, data: RunData, folder: Path) -> tuple[RunData, str]:
    """The images of a run, kept as `data.cache` says from the first reading on, with the number of workers; and a line
    that tells what was chosen, and why.

    Only a few images are read, to judge how large all are.

    Args:
        config: of the run.
        data: its images; their caches are set.
        folder: of the run, where images are listed that are left out as broken.
    """
    settings, sets = config.data, {"train": data.train, "val": data.validation}
    processes = config.training.devices
    if settings.broken == "skip":
        data.train.skip_broken(BrokenImages(folder))
    sizes = {which: one.estimate_bytes() for which, one in sets.items()}
    shares = {which: size / max(sum(sizes.values()), 1) for which, size in sizes.items()}
    memory = third_of_free_memory(processes)
    wanted: Place | Literal["auto"] = settings.cache  # type: ignore[assignment]
    copies = Copies.find(config, sets) if wanted == "disk" or (wanted == "auto" and beyond(sizes, memory)) else None
    room = Room(sum(sizes.values()), memory, None if copies is None else copies.room)
    packed, sharded = (isinstance(data.train.dataset, layout) for layout in (PackedDataset, ShardsDataset))
    place, why = choose_place(wanted, room, packed=packed, sharded=sharded)
    if place == "disk" and copies is not None:
        try:
            caches, said = copies.open(sets, shares)
            why += said
        except OSError as error:
            place, why = "none", f"{copies.folder} cannot be written ({error.strerror})"
    if place == "memory":
        caches = {which: memory_cache(one, memory, shares[which]) for which, one in sets.items()}
    for which, one in sets.items():
        one.keep_in(None if place == "none" else caches[which])
    workers = choose_workers(settings.workers, processes, config.training.accelerator, kept=place == "memory")
    where = {
        "memory": "images stay in memory once they are read",
        "disk": f"images are copied to {copies.folder if copies else ''} as they are read",
        "none": "images are read in every epoch",
    }
    return replace(data, workers=workers), f"{where[place]}: {why}; workers {workers}"


def choose_place(
    wanted: Place | Literal["auto"], room: Room, *, packed: bool = False, sharded: bool = False
) -> tuple[Place, str]:
    """Where images are kept, and why.

    Args:
        wanted: what was asked for.
        room: what there is room for.
        packed: the source is read without decoding anyhow, so that a copy would gain nothing.
        sharded: the source is read a few shards at a time, since it is too large for other ways.

    >>> choose_place("auto", Room(3 * 10**9, 4 * 10**9, None))
    ('memory', '3.0 GB, of 4.0 GB that a third of the free memory is')
    """
    needed = gigabytes(room.needed)
    third = "" if room.memory is None else f"{gigabytes(room.memory)} that a third of the free memory is"
    if wanted == "none":
        return "none", "data.cache is none"
    if wanted != "disk" and (room.memory is None or room.needed <= room.memory):
        return "memory", f"{needed}, of {third}" if third else needed
    if wanted == "memory":
        return "memory", f"{needed}, more than {third}: what does not fit is read in every epoch"
    beside = f"{needed}, more than {third}" if wanted == "auto" else needed
    if packed:
        return "none", f"{beside}, and the data set is packed already: the system keeps its files in memory"
    if sharded:
        return "none", f"{beside}, and the data set is in shards, of which a few are read at a time"
    if room.disk is None:
        return "none", f"{beside}, and nothing tells whether a copy on disk is of this data set"
    if room.needed <= room.disk:
        return "disk", beside
    cure = "raise --data.cache_limit or choose another --data.cache_folder"
    left = f"{gigabytes(room.disk)} that data.cache_limit and the disk leave for copies"
    if wanted == "auto":
        return "none", f"{beside} and than {left}: {cure}"
    return "disk", f"{beside}, more than {left}: what does not fit is read in every epoch; {cure}"


def choose_workers(wanted: int | Literal["auto"], processes: int, accelerator: str = "auto", kept: bool = False) -> int:
    """How many processes read for each that trains.

    Beside a GPU most of the processors are free to read. Where the processors train, half of them read, two at most, as
    long as images have to be decoded in every epoch.

    Args:
        wanted: a number, or `auto`.
        processes: how many train on this machine.
        accelerator: what they train on.
        kept: images stay in memory.
    """
    if wanted != "auto":
        return wanted
    own = processors() // processes
    if accelerator != "cpu" and torch.accelerator.is_available():
        return max(0, min(MOST_WORKERS, own - 1))
    return 0 if kept else min(2, own // 2)


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gigabytes(size: int) -> str:
    """In GB.

    >>> gigabytes(1_234_567_890), gigabytes(5_000_000)
    ('1.2 GB', '0.005 GB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e9:.2g} GB"


def beyond(sizes: dict[str, int], memory: int | None) -> bool:
    """Whether images do not fit into memory."""
    return memory is not None and sum(sizes.values()) > memory


def memory_cache(dataset: PartialDataset, memory: int | None, share: float) -> SampleCache:
    """A cache in memory that takes its share of what there is."""
    return SampleCache(len(dataset.dataset), [*dataset.tasks], None if memory is None else int(memory * share))


@dataclass(frozen=True)
class Copies:
    """The copies on disk of a run's images.

    Args:
        folder: where all copies lie.
        sources: what those of training and validation are made from.
        room: the bytes that both may take.
    """

    folder: Path
    sources: dict[str, Provenance]
    room: int

    @classmethod
    def find(cls, config: RunConfig, sets: dict[str, PartialDataset]) -> Copies | None:
        """Those of a run; None for images that were made in Python, of which nothing tells what they are."""
        settings = config.data
        if is_object(settings.name) or (settings.root is None and settings.name != "scenes"):
            return None
        folder = user_folder() if settings.cache_folder is None else Path(settings.cache_folder)
        chosen = {name: getattr(settings, name) for name in OF_SAMPLES}
        sources = {
            which: source_of(one.dataset, {**chosen, "which": which, "code": config.code, "mtpsl": version("mtpsl")})
            for which, one in sets.items()
        }
        room = room_on_disk(folder, settings.cache_limit, [place_of(folder, source) for source in sources.values()])
        return cls(folder, sources, room)

    def open(self, sets: dict[str, PartialDataset], shares: dict[str, float]) -> tuple[dict[str, SampleCache], str]:
        """Open or make them, each with its share of the room, and say what was made anew.

        Raises:
            OSError: the folder cannot be written.
        """
        caches: dict[str, SampleCache] = {}
        said = ""
        for which, one in sets.items():
            place = place_of(self.folder, self.sources[which])
            limit = int(self.room * shares[which])
            caches[which], new = open_copy(place, self.sources[which], len(one.dataset), [*one.tasks], limit)
            said = said or new
        return caches, said
