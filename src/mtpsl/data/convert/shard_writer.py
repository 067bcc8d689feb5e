"""A data set as shards: files of tar, as WebDataset reads them, and an index of what lies where."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from mtpsl.data.convert.writers import Item, Writer, append, picture, size
from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.formats.lossless import require_equal
from mtpsl.data.layouts.shard_index import (
    DESCRIPTION,
    GIVEN,
    INDEX,
    PREDICTED,
    VERSION,
    ShardIndex,
    need_webdataset,
    sample_name,
    shard_name,
)
from mtpsl.files import write_text

SHARD_MB = 64.0


class ShardWriter(Writer):
    """Shards of about one length; a line of JSON per complete shard stands in a journal until all are written.

    Args:
        folder: where to write.
        name: the data set's name.
        formats: the tasks and what the source stores for them.
        relations: what is said besides of each task that follows from another one.
        others: what is said besides of all images.
        shard_mb: megabytes from which on a shard is complete.

    Raises:
        UserError: the package that writes them is missing.
    """

    form = "shards"

    def __init__(
        self,
        folder: Path,
        name: str,
        formats: Mapping[str, LabelFormat],
        relations: Mapping[str, Mapping[str, Any]] | None = None,
        others: Mapping[str, Any] | None = None,
        *,
        shard_mb: float = SHARD_MB,
    ) -> None:
        super().__init__(folder, name, formats, relations, others)
        self.tar_writer, self.length = need_webdataset().TarWriter, shard_mb * 1e6
        self.splits: list[str] = []

    def begin(self, split: str, keys: Sequence[str]) -> int:
        """Keep the shards that are whole."""
        self.split, self.keys = split, keys
        self.journal = self.folder / f"{split}.journal"
        self.journal.touch()
        self.shards: list[dict[str, Any]] = []
        whole = 0
        for line in self.journal.read_bytes().splitlines(keepends=True):
            path = self.folder / shard_name(split, len(self.shards))
            try:
                shard = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n") or not path.is_file() or size(path) != shard["length"]:
                break
            self.shards.append(shard)
            whole += len(line)
        os.truncate(self.journal, whole)
        self.done = sum(len(shard["rows"]) for shard in self.shards)
        self.splits.append(split)
        self._begin_shard()
        return self.done

    def write(self, item: Item) -> None:
        """Image and labels, one after another, as files that read back as they were."""
        files = {"image.png": png(picture(item))}
        for task, (target, valid) in item.labels.items():
            one = self.formats[task]
            array = one.encode(target, valid)
            require_equal(one, array, Path(f"{item.key}.{task}{one.suffix}"), target, valid)
            files[f"{task}{one.suffix}"] = png(array) if one.suffix == ".png" else npy(array)
        start = self.tar.tarstream.offset
        self.tar.write({"__key__": sample_name(self.done + len(self.rows)), **files})
        height, width = item.image.size[::-1] if isinstance(item.image, Image.Image) else item.image.shape[-2:]
        origin = {task: PREDICTED if task in item.predicted else GIVEN for task in item.labels}
        labelled = [origin.get(task, 0) for task in self.formats]
        self.rows.append([start, self.tar.tarstream.offset, height, width, *labelled])
        if self.tar.tarstream.offset >= self.length:
            self._complete()

    def end(self) -> None:
        """Complete the last shard, and write the index."""
        if self.rows:
            self._complete()
        tasks = len(self.formats)
        rows = np.array([row for shard in self.shards for row in shard["rows"]], np.int64).reshape(-1, 4 + tasks)
        number = np.repeat(np.arange(len(self.shards)), [len(shard["rows"]) for shard in self.shards])
        lengths = np.array([shard["length"] for shard in self.shards], np.int64)
        labelled = rows[:, 4:].astype(np.uint8)
        index = ShardIndex(self.keys, rows[:, 2:4], [*self.formats], labelled, number, rows[:, :2], lengths)
        index.write(self.folder / f"{self.split}{INDEX}")

    def finish(self) -> None:
        """Write shards.yaml; the journals are no more needed."""
        content = {"version": VERSION, **self.content}
        text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
        write_text(self.folder / DESCRIPTION, text)
        for split in self.splits:
            (self.folder / f"{split}.journal").unlink()

    def _begin_shard(self) -> None:
        self.rows: list[list[int]] = []
        self.numbers = BytesIO()
        self.tar = self.tar_writer(self.numbers, encoder=False, mtime=0, format="PAX_FORMAT")

    def _complete(self) -> None:
        """Numbers first: a line stands for a shard that is on the disk."""
        self.tar.close()
        with (self.folder / shard_name(self.split, len(self.shards))).open("wb") as file:
            file.write(self.numbers.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        self.shards.append({"length": len(self.numbers.getbuffer()), "rows": self.rows})
        append(self.journal, json.dumps(self.shards[-1]).encode() + b"\n")
        self.done += len(self.rows)
        self._begin_shard()


def png(array: np.ndarray) -> bytes:
    """An array as a PNG file."""
    file = BytesIO()
    Image.fromarray(array).save(file, "PNG", compress_level=3)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    """An array as an npy file."""
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()
