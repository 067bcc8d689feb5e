"""A data set in shards, for sets that are too large to be read in random order: files of tar, as WebDataset has them.

`<root>/shards.yaml` says what the labels mean, `<split>.index` what lies where (`shard_index.py`), and
`<split>-000000.tar`, ... hold, image by image, `NUMBER.image.png` and `NUMBER.TASK.png` or `.npy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from tarfile import TarError

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from mtpsl.data.autolabels import given_labels
from mtpsl.data.base import StoredDataset
from mtpsl.data.layouts.shard_fetching import FetchedShards
from mtpsl.data.layouts.shard_files import LocalShards
from mtpsl.data.layouts.shard_index import (
    DESCRIPTION,
    INDEX,
    PREDICTED,
    ShardIndex,
    need_webdataset,
    read_sharded,
    sample_name,
)
from mtpsl.data.relations.opened import open_related
from mtpsl.data.windows import ShardWindows
from mtpsl.errors import UserError
from mtpsl.files import user_folder
from mtpsl.pictures import read_picture

WINDOW = 8


class ShardsDataset(StoredDataset):
    """One split of a data set in shards that `mtpsl convert --to shards` wrote; the same samples as the source gives.

    Of the shards only what an image takes is read. In training, images come in random order from a few shards at a time
    (`windows`), so that whatever lies between reads each shard once in an epoch.

    Args:
        root: the folder with shards.yaml.
        split: one of its splits.
        size: height and width to resize to; by default images keep the size that they were converted to.
        tasks: the tasks to read; by default all.
        window: how many shards training reads at a time.
        cache_folder: where copies of shards lie that are fetched from elsewhere (`url` in shards.yaml); by default
            `mtpsl` in the user's cache folder.
        cache_limit: gigabytes that these copies may take.

    Raises:
        UserError: not such a set, an unknown split or task, or a file that is cut off or damaged.
    """

    own = True

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        size: tuple[int, int] | None = None,
        tasks: Sequence[str] | None = None,
        window: int = WINDOW,
        cache_folder: str | Path | None = None,
        cache_limit: float = 50.0,
    ) -> None:
        self.root, self.split = Path(root), split
        need_webdataset()
        described, url = read_sharded(self.root)
        self.name = described.name
        super().__init__(described.select(tasks), size)
        if split not in (known := self.find_splits(self.root)):
            raise UserError(f"{root}: there is no split {split!r}: there are {', '.join(known)}")
        self.index = ShardIndex.read(self.root / f"{split}{INDEX}")
        for name in self.tasks:
            if name not in self.index.tasks:
                raise UserError(f"{described.path}: task {name!r} is not in {split}{INDEX}: remove it")
        self.keys = self.index.keys
        columns = [self.index.tasks.index(name) for name in self.tasks]
        self.available: Bool[Tensor, "n k"] = torch.from_numpy(self.index.labelled[:, columns] > 0)
        self.autolabels = described.autolabels
        if (self.index.labelled == PREDICTED).any():
            self.predicted = torch.from_numpy(self.index.labelled[:, columns] == PREDICTED)
        self.windows = ShardWindows(torch.from_numpy(self.index.shard).long(), window)
        lengths, most = self.index.lengths.tolist(), 2 * window
        if url is None:
            self.shards = LocalShards(self.root, split, lengths, most=most)
        else:
            folder = user_folder() if cache_folder is None else Path(cache_folder)
            self.shards = FetchedShards(url, folder, split, lengths, most=most, limit=int(cache_limit * 1e9))
        self._last: tuple[int, Mapping[str, bytes]] = (-1, {})
        labelled = given_labels(self.tasks, self.available, self.predicted)
        related = (described.relations, described.camera, self.formats)
        self.relate(open_related(*related, self.root, split, self.keys, labelled))

    @classmethod
    def find_splits(cls, root: Path) -> list[str]:
        """The files `<split>.index` beside shards.yaml."""
        return sorted(path.stem for path in root.glob(f"*{INDEX}")) if (root / DESCRIPTION).is_file() else []

    def image(self, index: int) -> Image.Image | Float[Tensor, "3 h w"]:
        """The picture."""
        content, path = self._file(index, "image")
        try:
            return read_picture(content)
        except UserError as error:
            raise UserError(f"{path}: {error}: copy the shard again") from error

    def original_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image, as the index says."""
        height, width = self.index.sizes[index].tolist()
        return height, width

    def stored(self, index: int, task: str) -> tuple[np.ndarray, Path]:
        """The numbers of a label's file."""
        content, path = self._file(index, task)
        return self.formats[task].load(path, content), path

    def _file(self, index: int, kind: str) -> tuple[bytes, Path]:
        files = self._files(index)
        name = next((name for name in files if name.partition(".")[0] == kind), None)
        if name is None:
            raise UserError(f"{self._place(index)}: has no file of {kind}: copy the shard again")
        return files[name], self._place(index).with_suffix(f".{name}")

    def _files(self, index: int) -> Mapping[str, bytes]:
        """What the files of an image hold, by their names without the number."""
        place, files = self._last  # image and labels are asked for one by one
        if place == index:
            return files
        start, end = self.index.places[index].tolist()
        content = self.shards.read(int(self.index.shard[index]), start, end)
        self._last = index, (files := self._unpack(content, index))
        return files

    def _unpack(self, content: bytes, index: int) -> Mapping[str, bytes]:
        from webdataset.tariterators import group_by_keys, tar_file_expander

        source = {"url": str(self._place(index)), "stream": BytesIO(content)}
        try:
            samples = [*group_by_keys(tar_file_expander([source]), lcase=False)]
        except (TarError, ValueError, OSError) as error:
            raise UserError(f"{self._place(index)}: is damaged ({error.args[0]}): copy the shard again") from error
        if [sample["__key__"] for sample in samples] != [sample_name(index)]:
            raise UserError(f"{self._place(index)}: is not where {self.split}{INDEX} says: copy the set again")
        return {name: file for name, file in samples[0].items() if not name.startswith("__")}

    def _place(self, index: int) -> Path:
        return self.shards.path(int(self.index.shard[index])) / sample_name(index)
