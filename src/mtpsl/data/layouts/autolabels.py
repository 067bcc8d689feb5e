"""Labels that a run predicted, beside those that were given: the entry `autolabels` of a dataset.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mtpsl.data.formats.files import ARRAY_SUFFIXES
from mtpsl.data.layouts.folder_files import SplitFiles, key_of
from mtpsl.files import files_below
from mtpsl.phrases import first_few

KEYS = ("folder", "run", "sha256", "epoch", "confidence", "hidden")


@dataclass(frozen=True)
class Autolabels:
    """Which run predicted labels, and where they lie: a folder per split and task, `<folder>/<split>/<task>`.

    Args:
        folder: below the data set's.
        run: the name of the run's folder.
        sha256: of its checkpoint.
        epoch: how many epochs it was trained for.
        confidence: which pixels counted (`mtpsl.tasks.pseudo_labels.Confidence`).
        hidden: whether labels that the run did not see were taken for missing, and are not in the data set.
    """

    folder: str
    run: str
    sha256: str
    epoch: int
    confidence: Mapping[str, float]
    hidden: bool = False

    @property
    def title(self) -> str:
        """The run, as reports name it."""
        return f"the run {self.run} (epoch {self.epoch}, checkpoint {self.sha256[:8]})"


def parse_autolabels(entry: Any) -> Autolabels:
    """The entry of a dataset.yaml.

    Raises:
        ValueError: it is something else than `mtpsl autolabel` writes.
    """
    if not isinstance(entry, dict) or {*entry} - {*KEYS} or {*KEYS[:-1]} - {*entry}:
        raise ValueError(f"`autolabels` should have the keys {', '.join(KEYS)}, as mtpsl autolabel writes it")
    types = {"folder": str, "run": str, "sha256": str, "epoch": int, "confidence": dict, "hidden": bool}
    for key, value in entry.items():
        if not isinstance(value, types[key]):
            raise ValueError(f"`autolabels`: `{key}` should be {types[key].__name__}, not {value!r}")
    parts = PurePosixPath(entry["folder"]).parts
    if len(parts) != 1 or parts[0] == ".." or PurePosixPath(entry["folder"]).is_absolute():
        raise ValueError(f"`autolabels`: `folder` should be the name of a folder in the data set, not {parts}")
    return Autolabels(**entry)


def list_autolabels(made: Autolabels, root: Path, split: str, files: SplitFiles) -> dict[str, dict[str, Path]]:
    """The files of predicted labels by task and key; one without an image goes to the split's problems."""
    found: dict[str, dict[str, Path]] = {}
    for task in files.labels:
        folder = root / made.folder / split / task
        paths = files_below(folder) if folder.is_dir() else ()
        labels = {key_of(path.relative_to(folder)): path for path in paths if path.suffix in ARRAY_SUFFIXES}
        if orphans := [path.name for key, path in labels.items() if key not in files.images]:
            files.problems.append(f"{folder}: no image belongs to {first_few(orphans)}: remove them")
        found[task] = {key: path for key, path in labels.items() if key in files.images}
    return found
