"""A dataset.yaml with what was guessed and why, for its owner to look through."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from mtpsl.data.formats import FORMATS
from mtpsl.data.formats.stored import read_stored
from mtpsl.data.guess.classes import guess_classes
from mtpsl.data.guess.entry import Entry, Labels
from mtpsl.data.guess.folders import Layout, find_layout, with_endings
from mtpsl.data.guess.numbers import (
    guess_depth,
    guess_edges,
    guess_multilabel,
    guess_normals,
    guess_parts,
    guess_regression,
    guess_saliency,
)
from mtpsl.data.guess.roles import INVERSE, REGRESSION, letters
from mtpsl.data.guess.splitting import guess_split
from mtpsl.data.layouts.description import parse_description
from mtpsl.data.layouts.folder_files import SplitFiles, list_split
from mtpsl.data.layouts.hash_split import HashSplit
from mtpsl.data.registry import recognize
from mtpsl.data.sizes import Size
from mtpsl.data.yaml_files import load_yaml
from mtpsl.errors import UserError
from mtpsl.phrases import command, counted
from mtpsl.pictures import read_header
from mtpsl.progress import LateProgress

#: at most so many labels of a task are read: classes may be rare, other numbers are alike
READ = {"segmentation": 300, "edges": 60, "human_parts": 300}
OTHERS = 30
#: and at most so many bytes of numbers
BYTES = 2**28


@dataclass(frozen=True)
class Guessed:
    """What was found, a line each, the text of the dataset.yaml, and the sizes of the images that were looked at."""

    found: list[str]
    text: str
    sizes: Counter[Size]


def describe_folder(
    root: Path,
    *,
    folders: Mapping[str, str] | None = None,
    tasks: Sequence[str] | None = None,
    val: float = 0.2,
    group: str | None = None,
) -> Guessed:
    """Look at a folder of images and labels and describe it.

    Args:
        root: the folder.
        folders: sub-folders whose content is known, by `image` or task.
        tasks: the tasks to describe; by default all that are found.
        val: share of the images for validation where there are no splits.
        group: images that stay together then: `sequence`, `image` (none) or a regular expression; by default guessed.

    Raises:
        UserError: the folder is none of that kind, or its labels cannot be understood.
    """
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder: give the one that holds your images and labels")
    layout_name = recognize(root)
    if layout_name not in (None, "folder"):
        raise UserError(
            f"{root}: looks like {layout_name}, which needs no dataset.yaml: go on with `{command('check', root)}`"
        )
    known = (*FORMATS, *REGRESSION)
    for role in {**(folders or {})}:
        if role != "image" and role not in known:
            raise UserError(f"--folders: {role} is unknown: known are image, {', '.join(known)}")
    layout = find_layout(root, folders or {})
    if tasks is not None:
        layout = _only(layout, tasks)
    splits = layout.places.splits(root) if layout.split_by_name else [""]
    layout = with_endings(root, layout, splits)
    files = {split: _files(root, layout, split) for split in splits}
    for split in files.values():
        if split.problems:
            raise UserError(split.problems[0])
    names = [role for role in layout.folders if role != "image"]
    entries = {name: _guess(root, layout, name, _paths(files, name)) for name in names}
    images = [path for split in files.values() for path in split.images.values()]
    sizes = Counter(read_header(path).size for path in _spread_out(images, 200))
    found = [f"{counted(len(images), 'image')} in {layout.places.template('image')}" + _sizes(sizes, len(images))]
    found += [f"{name} in {layout.places.template(name)}: {entries[name].seen}" for name in names]
    if layout.others:
        listed = ", ".join(layout.others[:5]) + (", ..." if len(layout.others) > 5 else "")
        found.append(f"passed over: {listed}: say what a folder holds with --folders depth=FOLDER")
    lines = _head(root)
    if layout.split_by_name:
        found.append(f"splits: {', '.join(f'{name} {len(split.images)}' for name, split in files.items())}")
    else:
        labels = {name: [*files[""].labels[name]] for name in names}
        if len(files[""].images) < 2:
            raise UserError(f"{root}: there is one image only: at least two are needed, one of them for validation")
        try:
            by_hash, why = guess_split([*files[""].images], labels, val, group)
        except ValueError as error:
            raise UserError(f"--group: {error}") from error
        held = Counter(by_hash.of(key) for key in files[""].images)
        found.append(f"no splits: {held['train']} for training, {held['val']} for validation, {why}")
        lines += _split_lines(by_hash, why)
    renamed = [f"  {role}: {_quoted(path)}" for role, path in layout.folders.items() if path != role]
    lines += [*(["folders:", *renamed] if renamed else []), "tasks:"]
    for name, entry in entries.items():
        lines += [f"  # {entry.seen}", f"  {name}:" + ("" if entry.lines else " {}")]
        lines += [f"    {line}" for line in entry.lines]
    text = "\n".join(lines) + "\n"
    parse_description(load_yaml(text), root / "dataset.yaml")
    return Guessed(found, text, sizes)


def _head(root: Path) -> list[str]:
    return [
        "# Written by `mtpsl init` from what the files look like: correct what is wrong, above all names and units.",
        "# What every entry means: docs/data.md. `mtpsl check` reads all files.",
        f"name: {_quoted(root.resolve().name or 'own')}",
    ]


def _split_lines(split: HashSplit, why: str) -> list[str]:
    entries = {"by": "hash", "val": split.val}
    entries |= {} if split.group is None else {"group": split.group}
    entries |= {} if split.seed == 0 else {"seed": split.seed}
    return [f"# divided {why}", f"split: {yaml.safe_dump(entries, default_flow_style=True, sort_keys=False).strip()}"]


def _quoted(text: str) -> str:
    """A text as YAML on one line, quoted where YAML would take it for something else."""
    return yaml.safe_dump([text], default_flow_style=True, width=10**6, allow_unicode=True).strip()[1:-1]


def _only(layout: Layout, tasks: Sequence[str]) -> Layout:
    for name in tasks:
        if name not in layout.folders or name == "image":
            found = ", ".join(role for role in layout.folders if role != "image")
            raise UserError(
                f"unknown task {name!r}: found are {found}; name another folder with --folders {name}=FOLDER"
            )
    kept = {role: path for role, path in layout.folders.items() if role == "image" or role in tasks}
    return Layout(kept, layout.split_by_name, layout.others)


def _files(root: Path, layout: Layout, split: str) -> SplitFiles:
    return list_split({role: layout.places.place(root, split, role) for role in layout.folders})


def _paths(files: Mapping[str, SplitFiles], name: str) -> list[Path]:
    return [path for split in files.values() for path in split.labels[name].values()]


def _spread_out(paths: Sequence[Path], most: int) -> list[Path]:
    """All, or so many of them drawn at random, in the order of their names."""
    return sorted(random.Random(0).sample(paths, most)) if len(paths) > most else [*paths]


def _guess(root: Path, layout: Layout, name: str, paths: list[Path]) -> Entry:
    chosen = random.Random(0).sample(paths, min(len(paths), READ.get(name, OTHERS)))
    folder = str(root / layout.places.template(name))
    labels, size = Labels(name, folder, [], [], len(paths)), 0
    with LateProgress(f"reading {name}", len(chosen)) as bar:
        for path in chosen:
            stored = read_stored(path, keep_alpha=name == "multilabel")
            labels.paths.append(path)
            labels.read.append(stored)
            size += stored.numbers.nbytes
            bar.advance()
            if size > BYTES:
                break
    if name == "segmentation":
        return guess_classes(labels, root)
    if name == "depth":
        return guess_depth(labels, any(letters(part) in INVERSE for part in Path(layout.folders[name]).parts))
    if name in REGRESSION or name == "regression":
        return guess_regression(labels)
    simple = {
        "normals": guess_normals,
        "edges": guess_edges,
        "saliency": guess_saliency,
        "human_parts": guess_parts,
        "multilabel": guess_multilabel,
    }
    return simple[name](labels)


def _sizes(sizes: Counter[Size], images: int) -> str:
    looked = sum(sizes.values())
    some = "" if looked == images else f" (of {looked} looked at)"
    if len(sizes) == 1:
        ((height, width),) = sizes
        return f", all {height} x {width}{some}"
    height, width = sizes.most_common(1)[0][0]
    return f", of {len(sizes)} sizes (height x width), most often {height} x {width}{some}"
