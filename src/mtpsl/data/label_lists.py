"""Files that list which labels may be used: the published splits, CSV and YAML."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.pickled_ids import read_pickled_ids
from mtpsl.errors import UserError

#: columns of the published `.pth` files by their number: Cityscapes and NYU-v2
COLUMNS = {2: ("segmentation", "depth"), 3: ("segmentation", "depth", "normals")}
#: names in the published PASCAL-Context files
PASCAL_NAMES = {"semseg": "segmentation", "sal": "saliency", "edge": "edges"}


def describe_split(path: str | Path) -> dict[str, int]:
    """How many images a split file gives a label of each task.

    Raises:
        UserError: as for `read_split`.
    """
    split = read_split(path)
    return dict(zip(split.tasks, split.labels.sum(0).tolist(), strict=True))


def read_split(path: str | Path) -> LabelSplit:
    """Read a split file; nothing in it is executed.

    Args:
        path: one of

            - `.csv`: a first line `key,segmentation,depth` and a line `000,1,0` for every image.
            - `.yaml`, `.yml`: `task: [key, key, ...]`; an image that is not listed has no label.
            - `.pth`, `.pt`: `{"labels_weights": (n, k) of 0 and 1}` as published for NYU-v2 and Cityscapes. The columns
              are named by a further entry `tasks`; without it, three are segmentation, depth, normals and two are
              segmentation, depth.
            - `.npy`: a pickled dictionary as the YAML file, as published for PASCAL-Context, whose semseg, sal and edge
              are our segmentation, saliency and edges.

    Raises:
        UserError: the file is missing or holds something else.
    """
    path = Path(path)
    if path.suffix.lower() not in READERS:
        raise UserError(
            f"{path}: a list of labels should be one of {', '.join(READERS)}, not {path.suffix or 'a name'}"
        )
    if not path.is_file():
        raise UserError(f"{path}: there is no such file: give a list of labels with --data.labels")
    try:
        split = READERS[path.suffix.lower()](path)
    except UserError:
        raise
    except Exception as error:  # readers of foreign files raise a dozen kinds
        detail = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be read as a list of labels, it is damaged or foreign ({detail})") from error
    if bad := [task for task in split.tasks if not task.isprintable() or not task.strip()]:
        raise UserError(f"{path}: {bad[0]!r} is not the name of a task")
    return split


@dataclass(frozen=True)
class LabelSplit:
    """Which labels of which images may be used.

    `keys` names the rows of `labels`; None where row i is the i-th image. `complete`: there is a row for every image.
    """

    path: Path
    tasks: tuple[str, ...]
    labels: Bool[Tensor, "m t"]
    keys: tuple[str, ...] | None
    complete: bool = True

    def mask(self, keys: Sequence[str], tasks: Sequence[str], *, ignore_others: bool = False) -> Bool[Tensor, "n k"]:
        """The labels that may be used, in the order of a data set's images and tasks.

        A file without names follows the images in the order of their numbers (the published files: row i is
        `train/{i}.npy`), or in the order of their names where one of these is not a number.

        Args:
            keys: the images of the whole split.
            tasks: the tasks of the data set.
            ignore_others: accept further tasks in the file.

        Raises:
            UserError: file and data set differ in tasks or images.
        """
        self._check_tasks(tasks, ignore_others)
        columns = [self.tasks.index(task) for task in tasks]
        keys = [composed(key) for key in keys]
        listed = numeric_order(keys) if self.keys is None else map(composed, self.keys)
        rows = {key: row for row, key in enumerate(listed)}
        if self.complete and len(self.labels) != len(keys):
            raise UserError(
                f"{self.path}: lists {len(self.labels)} images, but the training split has {len(keys)}: "
                "give the list that belongs to this data set"
            )
        known = {*keys}
        if unknown := [key for key in rows if key not in known]:
            more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            raise UserError(
                f"{self.path}: image {unknown[0]!r}{more} is not in the training split: "
                f"name images by their files without the suffix, as {keys[0]!r}"
            )
        mask = torch.zeros((len(keys), len(tasks)), dtype=torch.bool)
        places = [place for place, key in enumerate(keys) if key in rows]
        mask[places] = self.labels[:, columns][[rows[keys[place]] for place in places]]
        return mask

    def _check_tasks(self, tasks: Sequence[str], ignore_others: bool) -> None:
        common = ",".join(task for task in tasks if task in self.tasks)
        cure = f", or use only some tasks with --data.tasks {common}" if common else ""
        for task in tasks:
            if task not in self.tasks:
                raise UserError(
                    f"{self.path}: says nothing of task {task!r}, only of {', '.join(self.tasks)}: add it{cure}"
                )
        for task in self.tasks:
            if task not in tasks and not ignore_others:
                raise UserError(
                    f"{self.path}: task {task!r} is not in the data set, which has {', '.join(tasks)}: "
                    f"correct its name{cure}"
                )


def composed(key: str) -> str:
    """A name in the form of Unicode that data sets use: an editor may write letters and accents apart."""
    return unicodedata.normalize("NFC", key)


def numeric_order(keys: Sequence[str]) -> list[str]:
    """Names in the order of their numbers, or as they are sorted where one is not a number.

    >>> numeric_order(["0", "1", "10", "2"]), numeric_order(["a10", "a2"])
    (['0', '1', '2', '10'], ['a10', 'a2'])
    """
    if all(key.isascii() and key.isdigit() for key in keys):
        return sorted(keys, key=lambda key: (int(key), key))
    return sorted(keys)


def _from_lists(path: Path, lists: Mapping[str, Sequence[str]]) -> LabelSplit:
    if not lists:
        raise UserError(f"{path}: should list images for at least one task")
    keys = sorted({key for images in lists.values() for key in images})
    places = {key: place for place, key in enumerate(keys)}
    labels = torch.zeros((len(keys), len(lists)), dtype=torch.bool)
    for column, images in enumerate(lists.values()):
        labels[[places[key] for key in images], column] = True
    return LabelSplit(path, tuple(lists), labels, tuple(keys), complete=False)


def _read_npy(path: Path) -> LabelSplit:
    return _from_lists(path, {PASCAL_NAMES.get(name, name): ids for name, ids in read_pickled_ids(path).items()})


def _read_yaml(path: Path) -> LabelSplit:
    # the base loader leaves every value a text: 010 and 2008_000008 are names, not numbers
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    if not isinstance(content, dict):
        raise UserError(f"{path}: should hold `task: [image, image, ...]` for each task, not {type(content).__name__}")
    for task, images in content.items():
        if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
            raise UserError(f"{path}: {task!r} should hold a list of image names, as `depth: [000, 001]`")
    return _from_lists(path, content)


def _read_csv(path: Path) -> LabelSplit:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader if any(map(str.strip, line))]
    header = lines[0][1] if lines else []
    tasks = header[1:]
    if not tasks or header[0] != "key" or len({*tasks}) < len(tasks) or not all(tasks):
        raise UserError(f"{path}: the first line should be `key` and the tasks, as `key,segmentation,depth`")
    labels: dict[str, list[bool]] = {}
    for number, (key, *cells) in lines[1:]:
        if len(cells) != len(tasks) or not {*cells} <= {"0", "1"}:
            raise UserError(f"{path}, line {number}: should be an image's name and {len(tasks)} times 0 or 1")
        if key in labels:
            raise UserError(f"{path}, line {number}: image {key!r} is listed twice: keep one line")
        labels[key] = [cell == "1" for cell in cells]
    mask = torch.tensor([*labels.values()], dtype=torch.bool).reshape(len(labels), len(tasks))
    return LabelSplit(path, tuple(tasks), mask, tuple(labels))


def _read_pth(path: Path) -> LabelSplit:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # its message would advise to load it unsafely
        raise UserError(f"{path}: not a file of tensors that can be loaded safely; it is damaged or foreign") from error
    weights = content.get("labels_weights") if isinstance(content, dict) else None
    if not isinstance(weights, Tensor) or weights.ndim != 2 or not bool(((weights == 0) | (weights == 1)).all()):
        raise UserError(
            f"{path}: should hold {{'labels_weights': a tensor (images, tasks) of 0 and 1}}: write one, or a .csv"
        )
    tasks = content.get("tasks", COLUMNS.get(weights.shape[1]))
    if (
        not isinstance(tasks, list | tuple)
        or len({*tasks}) != weights.shape[1]
        or not all(isinstance(task, str) for task in tasks)
    ):
        raise UserError(f"{path}: has {weights.shape[1]} columns: name them in an entry 'tasks', or write a .csv")
    return LabelSplit(path, tuple(tasks), weights == 1, None)


READERS: dict[str, Callable[[Path], LabelSplit]] = {
    ".csv": _read_csv,
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".pth": _read_pth,
    ".pt": _read_pth,
    ".npy": _read_npy,
}
