"""Names and files of very many images in a few arrays: Python objects would be copied into every worker process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

import numpy as np


class StringTable(Sequence[str]):
    """Strings that are made when they are asked for; equal to a list of the same.

    >>> table = StringTable(["a", "über", "c"])
    >>> table[1], table[-1], table == ["a", "über", "c"]
    ('über', 'c', True)
    """

    def __init__(self, strings: Iterable[str]) -> None:
        parts = [string.encode("utf-8", "surrogateescape") for string in strings]
        self._ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        self._bytes = b"".join(parts)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._at(place) for place in range(len(self))[index]]
        return self._at(range(len(self))[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr([*self])

    def _at(self, place: int) -> str:
        start = int(self._ends[place - 1]) if place else 0
        return self._bytes[start : int(self._ends[place])].decode("utf-8", "surrogateescape")


class FileTable(Mapping[str, Path]):
    """Files by key, in the order in which they were given.

    >>> table = FileTable({"b": Path("images/b.png"), "a": Path("images/a.png")})
    >>> [*table], table["b"].as_posix(), "c" in table
    (['b', 'a'], 'images/b.png', False)
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        keys = [*files]
        self._order = np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int32)
        self._keys = StringTable(keys)
        folders: dict[str, int] = {}
        names, numbers = [], np.empty(len(keys), np.int32)
        for place, path in enumerate(files.values()):
            folder, slash, name = str(path).rpartition("/")
            numbers[place] = folders.setdefault(folder + slash, len(folders))
            names.append(name)
        self._names, self._folders, self._numbers = StringTable(names), StringTable(folders), numbers

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not None

    def __getitem__(self, key: str) -> Path:
        if (place := self._find(key)) is None:
            raise KeyError(key)
        return Path(self._folders[int(self._numbers[place])] + self._names[place])

    def _find(self, key: str) -> int | None:
        low, high = 0, len(self._order)
        while low < high:
            middle = (low + high) // 2
            if self._keys[int(self._order[middle])] < key:
                low = middle + 1
            else:
                high = middle
        place = int(self._order[low]) if low < len(self._order) else None
        return place if place is not None and self._keys[place] == key else None
