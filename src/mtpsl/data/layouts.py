"""Which layout a folder has, from the names in it, and how to open one by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from mtpsl.data.base import StoredDataset
from mtpsl.data.split_names import find_split
from mtpsl.data.tree import sub_folders
from mtpsl.errors import UserError
from mtpsl.plugins import CodeRecord, load_class, loaded_class, names_code, running

#: what a data set of one's own is given by the program
SUPPLIED = ("root", "split", "size", "tasks")
DATA_NAME = "data.name"
#: layouts by the file that describes them: where it lies, nothing else is asked
DESCRIPTIONS = {"merged.yaml": "merged", "packed.json": "packed", "dataset.yaml": "folder"}


def recognize(root: str | Path) -> str | None:
    """The name in `DATASETS` of a data set's layout, or None; of layouts without a description no file is opened.

    A description in the folder (dataset.yaml, ...) decides; then the other layouts are tried and `folder`, which is any
    folder whose sub-folders hold a folder `image`, last.
    """
    from mtpsl.data import DATASETS

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
    from mtpsl.data import DATASETS

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


def own_layout(root: Path) -> str:
    """What a folder lacks to be a data set of one's own."""
    if (root / "image").is_dir():
        if any(find_split(split, [root.resolve().name]) for split in ("train", "val", "test")):
            return f"this is a split: give the folder that holds it, {root.resolve().parent}"
        return f"move {root / 'image'} and the folders of labels beside it into a split, {root / 'train'}"
    for folder in [root, *(root / name for name in sub_folders(root))]:
        for name in sub_folders(folder):
            if name.casefold() in ("image", "images", "img", "imgs", "pictures", "photos", "rgb"):
                return f"rename {folder / name} to {folder / 'image' if folder != root else root / 'train/image'}"
    return (
        f"data of your own needs {root / 'dataset.yaml'}, and images should lie in <split>/image, as in "
        f"{root / 'train/image'}, labels in <split>/<task> (docs/data.md)"
    )


def layout_title(name: str) -> str:
    """What a layout is: the first sentence about its data set."""
    return inspect.cleandoc(layout_class(name).__doc__ or "").partition("\n\n")[0].replace("\n", " ").rstrip(".")


def splits_of(name: str, root: str | Path, description: str | Path | None = None) -> list[str]:
    """The splits of a data set of a known layout; `description` is a dataset.yaml that lies elsewhere."""
    from mtpsl.data import FolderDataset

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
    from mtpsl.data import DATASETS

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
    with running(layout_class(name)):
        return dataset(root, split, size=size, tasks=tasks, **given)
