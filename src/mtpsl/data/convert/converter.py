"""Convert a data set of any layout into one that is read quickly, or into plain folders."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from rich.console import Console
from rich.progress import Progress

from mtpsl.data.autolabels import predicted_tasks
from mtpsl.data.base import StoredDataset, stored_size
from mtpsl.data.convert.provenance import Provenance, provenance, read_provenance, write_provenance
from mtpsl.data.convert.relations import autolabels_entry, camera_entry, relation_entries, write_cameras
from mtpsl.data.convert.shard_writer import ShardWriter
from mtpsl.data.convert.writers import FolderWriter, Item, PackedWriter, Writer
from mtpsl.data.registry import open_layout, require_layout, splits_of
from mtpsl.errors import UserError, refusal
from mtpsl.files import remove_remains
from mtpsl.pictures import picture_tensor

WRITERS: dict[str, type[Writer]] = {writer.form: writer for writer in (PackedWriter, ShardWriter, FolderWriter)}


def convert_dataset(
    source: str | Path,
    out: str | Path,
    *,
    to: Literal["packed", "shards", "folder"] = "packed",
    name: str | None = None,
    description: str | Path | None = None,
    splits: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    tasks: Sequence[str] | None = None,
    classes: int | None = None,
    label_cache: str | Path | None = None,
    shard_mb: float | None = None,
    force: bool = False,
    progress: bool = True,
) -> dict[str, int]:
    """Write a data set in another form that gives the same samples.

    The folder appears in one step when all is written. Until then the work lies in the hidden `.<out>.partial` beside
    it; calling again continues there.

    Args:
        source: the data set.
        out: the folder to make.
        to: `packed` for one file per split, not encoded, `shards` for files of many images each, which training reads
            one after another, `folder` for a file per image and label.
        name: the source's layout; recognized by itself.
        description: the source's dataset.yaml, if it lies elsewhere.
        splits: the splits to convert; by default all.
        size: height and width to resize to; by default images keep their own.
        tasks: the tasks to convert; by default all.
        classes: number of segmentation classes, for layouts that offer several.
        label_cache: folder for labels computed from other files, for layouts that have some (`pascal`).
        shard_mb: megabytes of a shard (`shards` only); 64 by default.
        force: replace what was converted before from another source, other options or other files.
        progress: show a progress bar on the error stream.

    Returns:
        Images of each split.

    Raises:
        UserError: `out` exists and is something else, the source changed since it was converted, or the source is
            broken.
    """
    source, out = Path(source), Path(out).resolve()
    layout = require_layout(source, name or ("folder" if description is not None else None))
    if layout == "merged":  # a converted set has no shares
        raise UserError(f"{source} is merged: convert its sources, and name the converted sets in merged.yaml")
    if shard_mb is not None and to != "shards":
        raise UserError(f"--shard_mb belongs to --to shards, not to {to}: leave it out")
    own: dict[str, Any] = {} if shard_mb is None else {"shard_mb": shard_mb}
    inside = source.resolve()
    if inside == out or inside in out.parents or out in inside.parents:
        raise UserError(f"{out}: should lie outside the data set {source}, and not around it")
    chosen = list(splits or splits_of(layout, source, description) or ["train"])
    given = {"description": None if description is None else str(Path(description).resolve()), "classes": classes}
    opening = {**given, "label_cache": label_cache}
    datasets = {split: open_layout(layout, source, split, size=size, tasks=tasks, **opening) for split in chosen}
    options = {"to": to, "splits": chosen, "size": size, "tasks": None if tasks is None else [*tasks], **given, **own}
    wanted = provenance(source, layout, options)
    counts = {split: len(dataset) for split, dataset in datasets.items()}
    if is_done(out, wanted, force):
        return counts
    with partial_folder(out, wanted, force) as folder:
        formats = {task: one for dataset in datasets.values() for task, one in dataset.formats.items()}
        entries = relation_entries(datasets), {**camera_entry(datasets), **autolabels_entry(datasets)}
        writer = WRITERS[to](folder, datasets[chosen[0]].name, formats, *entries, **own)
        with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
            job = bar.add_task("converting", total=sum(counts.values()))
            for split, dataset in datasets.items():
                for _ in write_split(writer, split, dataset):
                    bar.advance(job)
        write_cameras(folder, datasets, writer.names)
        writer.finish()
    return counts


def is_done(out: Path, wanted: Provenance, force: bool) -> bool:
    """Whether this very conversion was completed before.

    Raises:
        UserError: `out` is something else, or was converted from something else and is not to be replaced.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    found = read_provenance(out) if out.is_dir() else None
    if found is None:
        raise UserError(f"{out} exists and is not a converted data set: give another folder or remove it")
    difference = found.difference(wanted)
    if difference and not force:
        raise UserError(f"{out} was converted {difference}: convert into a new folder, or replace it with --force")
    return is_complete(out, wanted)


def is_complete(out: Path, wanted: Provenance) -> bool:
    """Whether a folder was made from just this; then the lock that a killed process left beside it goes."""
    found = read_provenance(out)
    if found is None or found.difference(wanted):
        return False
    lock = lock_of(out)
    with suppress(OSError), lock.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.unlink()
    return True


def lock_of(out: Path) -> Path:
    """The file that is locked while a folder is made."""
    return out.with_name(f".{out.name}.lock")


@contextmanager
def partial_folder(out: Path, wanted: Provenance, force: bool, *, work: str = "conversion") -> Iterator[Path]:
    """The folder that takes `out`'s place when the block ends; if the block fails, the next call continues with it.

    Args:
        out: the folder to make.
        wanted: what it is made from.
        force: start anew where it was begun from something else.
        work: what it is called that makes it.

    Raises:
        UserError: another process works on it, it was begun for something else, or something cannot be written.
    """
    partial = out.with_name(f".{out.name}.partial")
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = lock_of(out)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"{out}: another process is writing it: wait for it") from error
        try:
            begun = read_provenance(partial)
            difference = None if begun is None else begun.difference(wanted)
            if difference and not force:
                raise UserError(f"{out}: its {work} was begun {difference}: start anew with --force")
            if begun is None or difference:
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                write_provenance(partial, wanted)
            remove_remains(partial)
            try:
                yield partial
            except UserError:  # to mend the source means to start anew
                shutil.rmtree(partial, ignore_errors=True)
                raise
            if out.exists():
                before = out.with_name(f".{out.name}.before")
                shutil.rmtree(before, ignore_errors=True)
                os.replace(out, before)
                os.replace(partial, out)
                shutil.rmtree(before)
            else:
                os.replace(partial, out)
        except OSError as error:
            raise UserError(f"{refusal(error, out)}; then the same command continues") from error
        finally:
            with suppress(OSError):  # a folder that lost its permission
                lock.unlink()


def write_split(writer: Writer, split: str, dataset: StoredDataset) -> Iterator[None]:
    """Write what is still missing of a split; yields once per image, those included that were there."""
    done = writer.begin(split, dataset.keys)
    yield from [None] * done
    at_once = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(at_once) as pool:
        for start in range(done, len(dataset), 2 * at_once):
            rows = range(start, min(start + 2 * at_once, len(dataset)))
            for item in pool.map(lambda row: read_item(dataset, row), rows):
                writer.write(item)
                yield
    writer.end()


def read_item(dataset: StoredDataset, index: int) -> Item:
    """An image and all its labels at the data set's size; a picture stays a picture."""
    image, size = dataset.image(index), dataset.size
    labels = {
        task: dataset.label(index, task, stored_size(image))
        for task, exists in zip(dataset.tasks, dataset.available[index].tolist(), strict=True)
        if exists
    }
    if not isinstance(image, Image.Image):
        image = picture_tensor(image, size)
    elif size is not None and stored_size(image) != size:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    made = dataset.predicted
    predicted = frozenset[str]() if made is None else predicted_tasks(dataset.tasks, made[index])
    return Item(dataset.keys[index], image, labels, predicted)
