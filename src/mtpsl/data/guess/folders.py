"""Where images and labels lie in a folder of somebody's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtpsl.data.formats.files import ARRAY_SUFFIXES
from mtpsl.data.guess.roles import ROLES, role_of
from mtpsl.data.layouts.places import SPLIT, Folders
from mtpsl.data.split_names import find_split
from mtpsl.errors import UserError
from mtpsl.files import files_below, sub_folders
from mtpsl.pictures import SUFFIXES

#: what init looks for, for messages
KNOWN = "images/ beside masks/, depth/, normals/, edges/, ..., in splits (train/images) or not"


@dataclass(frozen=True)
class Layout:
    """The folder of the images and of each task, as dataset.yaml has them, and folders without a known name."""

    folders: dict[str, str]
    split_by_name: bool
    others: tuple[str, ...] = ()

    @property
    def places(self) -> Folders:
        """Where the files lie."""
        return Folders(self.folders, self.split_by_name)


def find_layout(root: Path, given: Mapping[str, str]) -> Layout:
    """Find folders of images and labels by their names, in splits or not.

    Args:
        root: the data set's folder.
        given: folders whose content is known, by `image` or task.

    Raises:
        UserError: no images, two folders of one kind, or no labels.
    """
    inside = {name: _roles(root / name, given) for name in sub_folders(root)}
    with_images = [name for name, roles in inside.items() if "image" in roles]
    direct = _roles(root, given)
    if "image" in direct:
        layout = _side_by_side(root, "", direct)
    elif len(with_images) == 1 and (only := with_images[0]):  # one folder around all, or a training split alone
        layout = _side_by_side(root, f"{only}/", inside[only])
    elif with_images:
        layout = _in_splits(root, {name: inside[name] for name in with_images})
    else:
        found = ", ".join(sub_folders(root)) or "no folder at all"
        raise UserError(
            f"{root}: there is no folder of images in it ({found}): have {KNOWN}; or name it: --folders image=FOLDER"
        )
    if len(layout.folders) == 1:
        raise UserError(
            f"{root}: beside the images in {layout.folders['image']} there is no folder of labels, called masks, "
            "depth, normals, edges, ...: rename one, or name it with --folders segmentation=FOLDER"
        )
    return layout


def _roles(folder: Path, given: Mapping[str, str]) -> dict[str, list[str]]:
    """The sub-folders by what they hold; folders without a known name are under an empty role."""
    found: dict[str, list[str]] = {}
    named = {path: role for role, path in given.items()}
    for name in sub_folders(folder):
        role = named.get(name) or (None if role_of(name) in given else role_of(name))
        found.setdefault(role or "", []).append(name)
    return found


def _side_by_side(root: Path, around: str, roles: Mapping[str, list[str]]) -> Layout:
    """Folders of one kind each; if those of the images hold splits, all do."""
    chosen = _one_each(root / around, roles)
    inner = sub_folders(root / around / chosen["image"])
    splits = find_split("train", inner) is not None and find_split("val", inner) is not None
    end = f"/{SPLIT}" if splits else ""
    others = tuple(f"{around}{name}" for name in roles.get("", ()))
    return Layout({role: f"{around}{name}{end}" for role, name in chosen.items()}, splits, others)


def _in_splits(root: Path, splits: Mapping[str, Mapping[str, list[str]]]) -> Layout:
    """Splits with the same folders."""
    chosen: dict[str, str] = {}
    for split, roles in splits.items():
        for role, name in _one_each(root / split, roles).items():
            if chosen.setdefault(role, name) != name:
                raise UserError(
                    f"{root}: {role} is called {chosen[role]} in one split and {name} in {split}: rename one of the two"
                )
    others = dict.fromkeys(name for roles in splits.values() for name in roles.get("", ()))
    return Layout(chosen, True, tuple(others))


def _one_each(folder: Path, roles: Mapping[str, list[str]]) -> dict[str, str]:
    for role, names in roles.items():
        if role and len(names) > 1:
            raise UserError(
                f"{folder}: several folders may be {role} ({', '.join(names)}): say which: --folders {role}={names[0]}"
            )
    order = [role for role in [*ROLES, *roles] if role in roles and role]
    return {role: roles[role][0] for role in dict.fromkeys(order)}


def with_endings(root: Path, layout: Layout, splits: Sequence[str]) -> Layout:
    """The same with what names of images or labels have beside their common part, as masks/*_mask.

    Raises:
        UserError: no label of a task belongs to an image.
    """
    folders = dict(layout.folders)
    names = {role: _stems(root, layout, splits, role) for role in folders}
    if not names["image"]:
        place = layout.places.template("image")
        raise UserError(f"{root / place}: there is no picture in it: put {', '.join(SUFFIXES[:3])}, ... files there")
    for role in [role for role in folders if role != "image" and not names[role]]:
        folder = layout.places.place(root, splits[0], role).folder
        raise UserError(
            f"{folder}: there is no label in it: labels are {' or '.join(ARRAY_SUFFIXES)} files"
            + (" (JPEG changes a label's numbers: export them as PNG)" if _has_jpeg(folder) else "")
            + f"; or leave it out with --tasks {','.join(other for other in folders if other not in ('image', role))}"
        )
    labels = {role: names[role] for role in folders if role != "image"}
    frames = {image: _label_frames(names["image"], image, labels) for image in ("*", _frame(names["image"]))}
    image = max(frames, key=lambda frame: sum(count > 0 for _, count in frames[frame].values()))
    for role, (frame, count) in frames[image].items():
        if not count:
            raise UserError(
                f"{root}: no name in {folders[role]} is that of an image in {folders['image']}, as {min(names[role])} "
                f"and {min(names['image'])}: a label should have the name of its image, up to an ending that all have"
            )
        folders[role] += "" if frame == "*" else f"/{frame}"
    folders["image"] += "" if image == "*" else f"/{image}"
    return Layout(folders, layout.split_by_name, layout.others)


def _label_frames(images: set[str], image: str, labels: Mapping[str, set[str]]) -> dict[str, tuple[str, int]]:
    """What stands around the common part of each task's names, and how many images have such a label."""
    wanted, found = _inner(images, image), {}
    for role, stems in labels.items():
        counts = {frame: len(wanted & _inner(stems, frame)) for frame in ("*", _frame(stems))}
        best = max(counts, key=lambda frame: counts[frame])
        found[role] = best, counts[best]
    return found


def _stems(root: Path, layout: Layout, splits: Sequence[str], role: str) -> set[str]:
    suffixes = SUFFIXES if role == "image" else ARRAY_SUFFIXES
    found = set()
    for split in splits:
        folder = layout.places.place(root, split, role).folder
        for path in files_below(folder) if folder.is_dir() else ():
            if path.suffix.lower() in suffixes:
                found.add(path.relative_to(folder).with_suffix("").as_posix())
    return found


def _has_jpeg(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in (".jpg", ".jpeg") for path in files_below(folder))


def _frame(stems: set[str]) -> str:
    """What all names begin and end with, up to a sign that separates words, around a star.

    >>> _frame({"img_01_rgb", "img_02_rgb"}), _frame({"a", "b"})
    ('img_*_rgb', '*')
    """
    names = [stem.rpartition("/")[2] for stem in stems]
    low, high = min(names), max(names)
    start = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    before = re.match(r"(.*[_\-. ])?", low[:start])
    turned = [name[::-1] for name in names]
    low, high = min(turned), max(turned)
    start = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    after = re.search(r"([_\-. ].*)?$", low[:start][::-1])
    head, tail = (before[0] if before else ""), (after[0] if after else "")
    if len(names) == 1:
        head, tail = "", ""
    return f"{head}*{tail}" if min(map(len, names)) > len(head) + len(tail) else "*"


def _inner(stems: set[str], frame: str) -> set[str]:
    before, _, after = frame.partition("*")
    found = set()
    for stem in stems:
        folder, slash, name = stem.rpartition("/")
        found.add(f"{folder}{slash}{name[len(before) : len(name) - len(after)]}")
    return found
