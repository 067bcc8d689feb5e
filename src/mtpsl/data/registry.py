"""Which layout a folder has, from the names in it, and how to open one by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from mtpsl.data.base import StoredDataset
from mtpsl.data.layouts.folder import FolderDataset, own_layout
from mtpsl.data.layouts.merged import MergedDataset
from mtpsl.data.layouts.packed import PackedDataset
from mtpsl.data.layouts.shards import ShardsDataset
from mtpsl.data.published.cityscapes import Cityscapes
from mtpsl.data.published.cityscapes_mtan import CityscapesMTAN
from mtpsl.data.published.nyud import NYUD
from mtpsl.data.published.nyuv2 import NYUv2
from mtpsl.data.published.nyuv2_raw import NYUv2Raw
from mtpsl.data.published.pascal import PascalContext
from mtpsl.data.published.taskonomy import Taskonomy
from mtpsl.data.split_names import find_split
from mtpsl.errors import LayoutError, UserError
from mtpsl.plugins import CodeRecord, load_class, loaded_class, names_code, running

#: layouts on disk by name: `DATASETS[name](root, split, size=None, tasks=None, ...)`
DATASETS: dict[str, Callable[..., StoredDataset]] = {
    "folder": FolderDataset,
    "packed": PackedDataset,
    "shards": ShardsDataset,
    "merged": MergedDataset,
    "cityscapes_mtan": CityscapesMTAN,
    "cityscapes": Cityscapes,
    "nyuv2": NYUv2,  # after cityscapes_mtan: without normals the two cannot be told apart
    "nyuv2_raw": NYUv2Raw,
    "nyud": NYUD,
    "pascal": PascalContext,
    "taskonomy": Taskonomy,
}
#: what a data set of one's own is given by the program
SUPPLIED = ("root", "split", "size", "tasks")
DATA_NAME = "data.name"
#: layouts that `mtpsl convert` writes, to be read in place of their source
CONVERTED = ("packed", "shards")
#: layouts by the file that describes them: where it lies, nothing else is asked
DESCRIPTIONS = {"merged.yaml": "merged", "packed.json": "packed", "shards.yaml": "shards", "dataset.yaml": "folder"}


def recognize(root: str | Path) -> str | None:
    """The name in `DATASETS` of a data set's layout, or None; of layouts without a description no file is opened.

    A description in the folder (dataset.yaml, ...) decides; then the other layouts are tried and `folder`, which is any
    folder whose sub-folders hold a folder `image`, last.
    """
    root = Path(root)
    if root.is_file() and root.suffix.lower() in (".yaml", ".yml"):  # reading it says what is wrong in it
        return "merged"
    for file, name in DESCRIPTIONS.items():
        if (root / file).is_file():
            return name
    for name in [*(name for name in DATASETS if name != "folder"), "folder"]:
        if splits_of(name, root):
            return name
    return None


def other_layout(root: str | Path, name: str) -> str:
    """The end of an error message if a folder that is not a `name` data set has another known layout, else nothing."""
    found = recognize(root)
    return "" if found in (None, name) else f"it looks like a {found} data set: name that layout, or none"


def require_layout(root: str | Path, name: str | None = None) -> str:
    """The layout of a data set: the given one, or the one that is recognized.

    Raises:
        UserError: no such folder or layout, or none is recognized.
    """
    if name is not None and name not in DATASETS and not names_code(name):
        raise UserError(f"layout {name!r} is unknown: choose one of {', '.join(DATASETS)}")
    if not Path(root).exists():
        raise UserError(f"{root}: there is no such folder: give the folder that holds the data set")
    found = name or recognize(root)
    if found is None:
        if Path(root).is_file():
            raise UserError(f"{root}: is a file: give the folder that holds the data set, or a merged.yaml")
        raise UserError(
            f"{root}: this is none of the known layouts ({', '.join(DATASETS)}): {own_layout(Path(root))}; "
            "of a published set unpack the whole archive and give the folder that holds the splits, or name the layout "
            "with --name to read what is missing"
        )
    return found


def layout_title(name: str) -> str:
    """What a layout is: the first sentence about its data set."""
    return inspect.cleandoc(layout_class(name).__doc__ or "").partition("\n\n")[0].replace("\n", " ").rstrip(".")


def splits_of(name: str, root: str | Path, description: str | Path | None = None) -> list[str]:
    """The splits of a data set of a known layout; `description` is a dataset.yaml that lies elsewhere."""
    if name == "folder":
        return FolderDataset.find_splits(Path(root), description)
    cls = layout_class(name)
    with running(cls):
        return cls.find_splits(Path(root))


def layout_class(name: str, *, named: bool = False) -> type[StoredDataset]:
    """The data set of a layout, also of one's own: FILE.py:Class.

    Raises:
        UserError: there is none of this name, or as `load_class`.
    """
    if not names_code(name):
        return cast(type[StoredDataset], DATASETS[name])
    if (cls := loaded_class(name, {})) is not None and not named:
        return cls
    return load_class(name, StoredDataset, CodeRecord(DATA_NAME), supplied=SUPPLIED, named=named)  # type: ignore[type-abstract]


def open_layout(
    name: str,
    root: str | Path,
    split: str,
    *,
    size: tuple[int, int] | None = None,
    tasks: Sequence[str] | None = None,
    **options: Any,
) -> StoredDataset:
    """One split of a data set, also under a name that means the same; options that are None are left out.

    Raises:
        UserError: the layout has no such option, or the data set is not as it should be.
    """
    split = find_split(split, splits_of(name, root, options.get("description"))) or split
    dataset: Callable[..., StoredDataset] = layout_class(name)
    given = {option: value for option, value in options.items() if value is not None}
    for option in given.keys() - inspect.signature(dataset).parameters.keys():
        raise UserError(f"option {option} does not apply to data set {name}: leave it out")
    try:
        with running(layout_class(name)):
            return dataset(root, split, size=size, tasks=tasks, **given)
    except LayoutError as error:
        raise UserError(f"{error.problem}: {other_layout(root, name) or error.cure}") from error
