"""Which files of a folder are the images and labels of a split, and which are not."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mtpsl.data.autolabels import Autolabels
from mtpsl.data.formats.files import ARRAY_SUFFIXES
from mtpsl.data.layouts.places import Place
from mtpsl.files import files_below, leads_nowhere, names_below
from mtpsl.phrases import counted, first_few
from mtpsl.pictures import FOREIGN_SUFFIXES, SUFFIXES

#: suffixes that someone might take for supported; other files (notes, thumbnails' caches) are passed over
FOREIGN = {*FOREIGN_SUFFIXES, *SUFFIXES, *ARRAY_SUFFIXES, ".h5", ".hdf5", ".mat", ".npz", ".pfm", ".pt", ".pth"}


@dataclass(frozen=True)
class SplitFiles:
    """The files of one split by key, what is wrong with them, and what is passed over, one line each."""

    images: Mapping[str, Path]
    labels: Mapping[str, Mapping[str, Path]]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def list_split(
    places: Mapping[str, Place],
    *,
    beside: Path | None = None,
    known: Collection[str] = (),
    wanted: Callable[[str], bool] = lambda key: True,
) -> SplitFiles:
    """Find the images and labels of a split without opening them.

    Args:
        places: where those of `image` and of each task to read lie.
        beside: the folder around them, of which others are noted.
        known: names of folders there that belong to the data set.
        wanted: which names are in this split.
    """
    every: dict[str, dict[str, Path]] = {}
    found = SplitFiles({}, every)
    image = places["image"]
    found = replace(found, images=_by_key(image, places, SUFFIXES, found, wanted))
    if not found.images:
        found.problems.append(f"{image.folder}: there is no image in it: put {', '.join(SUFFIXES)} files there")
    for name, place in places.items():
        if name == "image":
            continue
        labels = every[name] = _by_key(place, places, ARRAY_SUFFIXES, found, wanted)
        orphans = sorted(labels.keys() - found.images.keys())
        if orphans and found.images:
            names = first_few([labels[key].relative_to(place.folder).as_posix() for key in orphans])
            found.problems.append(
                f"{place.folder}: no image belongs to {names}: "
                f"a label should have the name of its image in {image.folder}"
            )
    others = [
        path.name
        for path in (sorted(beside.iterdir()) if beside is not None and beside.is_dir() else [])
        if path.is_dir() and not path.name.startswith(".") and path.name not in known
    ]
    if others:
        found.notes.append(f"{beside}: passed over, since the description has no such task: {first_few(others)}")
    return found


def key_of(path: Path) -> str:
    """What an image and its labels have in common: the path below their folder without suffix.

    One form of Unicode, since a file system may have composed letters where another has accents of their own.

    >>> key_of(Path("scene7/3.png"))
    'scene7/3'
    """
    return unicodedata.normalize("NFC", path.with_suffix("").as_posix())


def _by_key(
    place: Place,
    places: Mapping[str, Place],
    suffixes: Sequence[str],
    split: SplitFiles,
    wanted: Callable[[str], bool],
) -> dict[str, Path]:
    """The files of a kind; what is wrong with others goes to the split's problems and notes."""
    folder = place.folder
    found: dict[str, str] = {}
    twice: list[str] = []
    foreign: list[str] = []
    lost: list[str] = []
    others: list[str] = []
    sharing = [other for other in places.values() if other.folder == folder]
    if leads_nowhere(folder):
        split.problems.append(f"{folder}: is a link to nothing ({os.readlink(folder)}): mend or remove it")
    for inner, is_file in names_below(folder) if folder.is_dir() else ():
        above, slash, name = inner.rpartition("/")
        part = place.key_part(name)
        if len(sharing) > 1:
            owners = [other for other in sharing if other.key_part(name) is not None]
            if owners and max(owners, key=lambda owner: owner.literal) != place:
                continue
        suffix = os.path.splitext(name)[1].lower()
        if not is_file and leads_nowhere(path := folder / inner):
            lost.append(f"{inner} ({os.readlink(path)})")
        elif part is not None and suffix in suffixes and is_file:
            key = unicodedata.normalize("NFC", above + slash + part)
            if not wanted(key):
                continue
            if found.setdefault(key, inner) != inner:
                twice.append(inner)
        else:
            (foreign if part is not None and suffix in FOREIGN else others).append(inner)
    if lost:
        split.problems.append(
            f"{folder}: links to nothing: {first_few(lost)}: mend or remove them ({len(lost)} in all)"
        )
    if twice:
        split.problems.append(f"{folder}: a second file of the same name: {first_few(twice)}: keep one of each")
    if foreign:
        split.problems.append(
            f"{folder}: files should be {', '.join(suffixes)}, not {first_few(foreign)}: convert or remove them"
        )
    if others:
        split.notes.append(f"{folder}: {counted(len(others), 'file')} passed over: {first_few(others)}")
    return {key: folder / inner for key, inner in found.items()}


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
