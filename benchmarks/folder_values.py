"""What lies in a folder, value by value, so that two folders can be compared to the bit."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file

Values = dict[str, object]


def values_of(folder: Path) -> Values:
    """Every value in every file below a folder, hidden files too, by `file:where`; a folder counts as one value.

    Tensors are told apart by type, shape and bytes, tables and JSON by cell, text by line, other files by all
    bytes; of a log only that it is there.
    """
    found: Values = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        found |= {name: "folder"} if path.is_dir() else {f"{name}:{where}": value for where, value in leaves(path)}
    return found


def leaves(path: Path) -> Iterator[tuple[str, object]]:
    """Where in a file which value stands; a file that cannot be read as what its suffix says is one value."""
    try:
        match path.suffix:
            case ".json":
                content: Any = json.loads(path.read_text(encoding="utf-8"))
            case ".yaml":
                content = yaml.safe_load(path.read_text(encoding="utf-8"))
            case ".csv":
                with path.open(newline="", encoding="utf-8") as file:
                    content = list(csv.DictReader(file))
            case ".ckpt" | ".pt":
                content = torch.load(path, map_location="cpu", weights_only=True)
            case ".safetensors":
                content = load_file(path)
            case ".log":  # what was printed, by as many calls as there were
                content = "a log"
            case ".html" | ".md" | ".txt" | ".tex":
                content = path.read_text(encoding="utf-8").splitlines()
            case _:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
    except Exception as error:
        yield "", f"cannot be read: {error}"
        return
    yield from flatten(content, "")


def flatten(content: object, where: str) -> Iterator[tuple[str, object]]:
    """The leaves of nested containers by their place."""
    if isinstance(content, torch.Tensor):
        data = content.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
        yield where, (str(content.dtype), tuple(content.shape), hashlib.sha256(data).hexdigest())
    elif isinstance(content, Mapping):
        yield where, f"{len(content)} entries"
        for key, value in content.items():
            yield from flatten(value, f"{where}/{key}")
    elif isinstance(content, Sequence) and not isinstance(content, str | bytes):
        yield where, f"{len(content)} entries"
        for number, value in enumerate(content):
            yield from flatten(value, f"{where}/{number}")
    else:
        yield where, (type(content).__name__, repr(content))


def varying(first: Values, second: Values) -> set[str]:
    """The places, numbers in them as `#`, whose values differ between two uninterrupted runs: times and dates.

    A file or an entry that only one of them has varies, too.
    """
    return {general(place) for place in differences(first, second)}


def differences(first: Values, second: Values) -> list[str]:
    """The places whose values differ, or that only one has."""
    return sorted(place for place in first.keys() | second.keys() if first.get(place) != second.get(place))


def general(place: str) -> str:
    """A place with its numbers as `#`.

    >>> general("metrics.csv:/12/seconds")
    'metrics.csv:/#/seconds'
    """
    return re.sub(r"\d+", "#", place)
