"""Labels that runs predicted, beside those that were given: the entry `autolabels` of a dataset.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from jaxtyping import Bool
from torch import Tensor

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

    def entry(self) -> dict[str, Any]:
        """The entry of a dataset.yaml that reads back as this."""
        found = asdict(self)
        return {key: found[key] for key in KEYS if key not in OPTIONAL or found[key]}

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


def given_labels(
    tasks: Iterable[str], available: Bool[Tensor, "n k"], predicted: Bool[Tensor, "n k"] | None
) -> dict[str, list[bool]]:
    """Which images have a label of each task that no network predicted."""
    given = available if predicted is None else available & ~predicted
    return dict(zip(tasks, given.T.tolist(), strict=True))


def predicted_tasks(tasks: Iterable[str], predicted: Bool[Tensor, " k"]) -> frozenset[str]:
    """The tasks of which a network predicted an image's label."""
    return frozenset(name for name, mark in zip(tasks, predicted.tolist(), strict=True) if mark)
