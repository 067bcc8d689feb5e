"""Labels that runs predicted, beside those that were given: the entry `autolabels` of a dataset.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mtpsl.data.formats.files import ARRAY_SUFFIXES
from mtpsl.data.layouts.folder_files import SplitFiles, key_of
from mtpsl.files import files_below
from mtpsl.phrases import first_few

NETWORK = {"run": str, "sha256": str, "epoch": int}
KEYS = {"folder": str, **NETWORK, "confidence": dict, "hidden": bool, "others": list}
OPTIONAL = {"hidden", "others"}


@dataclass(frozen=True)
class Autolabels:
    """Which runs predicted labels, and where they lie: a folder per split and task, `<folder>/<split>/<task>`.

    Args:
        folder: below the data set's.
        run: the name of the run's folder.
        sha256: of its checkpoint.
        epoch: how many epochs it was trained for.
        confidence: which pixels counted (`mtpsl.tasks.pseudo_labels.Confidence`).
        hidden: whether labels that the run did not see were taken for missing, and are not in the data set.
        others: the runs whose predictions were averaged with that run's, each its `run`, `sha256` and `epoch`.
    """

    folder: str
    run: str
    sha256: str
    epoch: int
    confidence: Mapping[str, float]
    hidden: bool = False
    others: Sequence[Mapping[str, Any]] = ()

    @property
    def title(self) -> str:
        """The runs, as reports name them."""
        runs = [{"run": self.run, "epoch": self.epoch, "sha256": self.sha256}, *self.others]
        names = [f"{one['run']} (epoch {one['epoch']}, checkpoint {one['sha256'][:8]})" for one in runs]
        return f"the run{'s' if self.others else ''} {', '.join(names)}"


def parse_autolabels(entry: Any) -> Autolabels:
    """The entry of a dataset.yaml.

    Raises:
        ValueError: it is something else than `mtpsl autolabel` writes.
    """
    if not isinstance(entry, dict) or {*entry} - {*KEYS} or {*KEYS} - OPTIONAL - {*entry}:
        raise ValueError(f"`autolabels` should have the keys {', '.join(KEYS)}, as mtpsl autolabel writes it")
    for key, value in entry.items():
        if not isinstance(value, KEYS[key]):
            raise ValueError(f"`autolabels`: `{key}` should be {KEYS[key].__name__}, not {value!r}")
    for other in entry.get("others", ()):
        if not isinstance(other, dict) or {*other} != {*NETWORK}:
            raise ValueError(f"`autolabels`: each of `others` should have the keys {', '.join(NETWORK)}, not {other!r}")
        if wrong := [key for key, kind in NETWORK.items() if not isinstance(other[key], kind)]:
            raise ValueError(f"`autolabels`: `{wrong[0]}` of one of `others` is {other[wrong[0]]!r}")
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
