"""What a set in shards says of its images without their shards: shards.yaml, and an index for each split.

`<split>.index` holds, as safetensors, names and sizes of images, which labels they have, and where each of them lies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mtpsl.data.layouts.description import Description, parse_description
from mtpsl.data.tables import StringTable
from mtpsl.data.yaml_files import read_yaml
from mtpsl.errors import LayoutError, UserError
from mtpsl.files import write_atomically

DESCRIPTION = "shards.yaml"
INDEX = ".index"
VERSION = 1
KEYS = ("version", "name", "tasks", "camera", "autolabels", "url")
GIVEN, PREDICTED = 1, 2
"""What the index says of a label that exists."""


@dataclass(frozen=True)
class ShardIndex:
    """The images of a split.

    Args:
        keys: their names.
        sizes: their height and width.
        tasks: of the labels.
        labelled: which of them each image has: GIVEN, PREDICTED (by a network), or 0 for none.
        shard: the number of the shard of each.
        places: where its files begin and end in that, in bytes.
        lengths: the bytes of each shard.
    """

    keys: Sequence[str]
    sizes: Int[np.ndarray, "n 2"]
    tasks: Sequence[str]
    labelled: UInt8[np.ndarray, "n k"]
    shard: Int[np.ndarray, " n"]
    places: Int[np.ndarray, "n 2"]
    lengths: Int[np.ndarray, " s"]

    def write(self, path: Path) -> None:
        """Write it whole."""
        arrays: dict[str, np.ndarray] = {
            "keys": _bytes_of(self.keys),
            "tasks": _bytes_of(self.tasks),
            "sizes": self.sizes.astype(np.int32),
            "labelled": self.labelled,
            "shard": self.shard.astype(np.int32),
            "places": self.places.astype(np.int64),
            "lengths": self.lengths.astype(np.int64),
        }
        write_atomically(path, lambda temporary: save_file(arrays, temporary))

    @classmethod
    def read(cls, path: Path) -> ShardIndex:
        """Read it.

        Raises:
            UserError: it is missing or damaged.
        """
        try:
            arrays = load_file(path)
            keys, tasks = StringTable(_strings_in(arrays["keys"])), _strings_in(arrays["tasks"])
            labelled, sizes, lengths = arrays["labelled"], arrays["sizes"], arrays["lengths"]
            found = cls(keys, sizes, tasks, labelled, arrays["shard"], arrays["places"], lengths)
            found.check()
        except FileNotFoundError:
            raise UserError(f"{path}: there is no such file, but {DESCRIPTION}: copy it again") from None
        except (SafetensorError, OSError, KeyError, ValueError, IndexError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: is damaged ({reason}): copy it again, or convert the source again") from error
        return found

    def check(self) -> None:
        """Require that its parts fit each other.

        Raises:
            ValueError: they do not.
        """
        count, tasks = len(self.keys), len(self.tasks)
        found = (self.sizes.shape, self.labelled.shape, self.shard.shape, self.places.shape)
        if found != ((count, 2), (count, tasks), (count,), (count, 2)) or self.lengths.ndim != 1:
            raise ValueError(f"{count} names, {tasks} tasks and arrays of shapes {found}")
        if self.labelled.size and self.labelled.max() > PREDICTED:
            raise ValueError("labels of an unknown origin")
        kinds = {array.dtype.kind for array in (self.sizes, self.shard, self.places, self.lengths)}
        if kinds != {"i"} or self.sizes.min() < 1 or self.shard.min() < 0:
            raise ValueError("numbers that are no sizes or shards")
        start, end = self.places.T
        if start.min() < 0 or (start >= end).any() or (end > self.lengths[self.shard]).any():
            raise ValueError("an image beyond its shard")


def _bytes_of(strings: Sequence[str]) -> np.ndarray:
    return np.frombuffer("\0".join(strings).encode("utf-8", "surrogateescape"), np.uint8)


def _strings_in(numbers: np.ndarray) -> list[str]:
    return numbers.tobytes().decode("utf-8", "surrogateescape").split("\0")


def read_sharded(root: Path) -> tuple[Description, str | None]:
    """Read shards.yaml: what it describes, and the address at which the shards lie, if not beside it.

    Raises:
        UserError: it is missing or holds something else.
    """
    path = root / DESCRIPTION
    if not path.is_file():
        raise LayoutError(f"{path}: there is no such file", "give the folder that `mtpsl convert --to shards` wrote")
    content = read_yaml(path)
    if not isinstance(content, Mapping) or not {*content} <= {*KEYS}:
        raise UserError(f"{path}: should have the keys {', '.join(KEYS)}: convert the source again")
    if content.get("version") != VERSION:
        raise UserError(f"{path}: is of version {content.get('version')}, not {VERSION}: convert the source again")
    url = content.get("url")
    if url is not None and not (isinstance(url, str) and re.fullmatch(r"https?://[\w.~:/%+@=-]+", url)):
        raise UserError(f"{path}: `url` should be that of a folder, as https://HOST/FOLDER, not {url!r}")
    return parse_description({key: content[key] for key in content if key not in ("version", "url")}, path), url


def shard_name(split: str, number: int) -> str:
    """The file of a shard.

    >>> shard_name("train", 7)
    'train-000007.tar'
    """
    return f"{split}-{number:06}.tar"


def sample_name(number: int) -> str:
    """How the files of an image in a shard begin; its name itself might be that of no file.

    >>> sample_name(7)
    '0000000007'
    """
    return f"{number:010}"


def need_webdataset() -> Any:
    """The package that reads and writes shards; imported where it is used.

    Raises:
        UserError: it is not installed.
    """
    try:
        import webdataset
    except ImportError as error:
        raise UserError("data sets in shards need webdataset: pip install 'mtpsl[stream]'") from error
    return webdataset
