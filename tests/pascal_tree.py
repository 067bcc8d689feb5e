"""Small trees in the layout of PASCAL-Context's multi-task release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

Parts = Sequence[tuple[str, np.ndarray]]

PERSON, DOG = 15, 12


def thing(index: int, mask: np.ndarray, parts: Parts = ()) -> tuple[str, int, np.ndarray, Parts]:
    """An object of an annotation."""
    return ("person" if index == PERSON else "dog", index, mask.astype(np.uint8), parts)


def save_parts(path: Path, things: Sequence[tuple[str, int, np.ndarray, Parts]]) -> None:
    """Write `anno` as PASCAL-Part does: structs of structs, `parts` an empty matrix where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = np.empty((1, len(things)), [(field, object) for field in ("class", "class_ind", "mask", "parts")])
    for place, (name, index, mask, parts) in enumerate(things):
        marked = np.empty((1, len(parts)), [("part_name", object), ("mask", object)])
        for number, (part, where) in enumerate(parts):
            marked[0, number] = (part, where.astype(np.uint8))
        objects[0, place] = (name, float(index), mask, marked if parts else np.empty((0, 0)))
    savemat(path, {"anno": {"imname": path.stem, "objects": objects}}, do_compression=True)


def save_context(path: Path, labels: np.ndarray) -> None:
    """Write a `LabelMap`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"LabelMap": labels.astype(np.uint16)}, do_compression=True)


def save_png(path: Path, array: np.ndarray, palette: bool = False) -> None:
    """Write a PNG, on request with a color table as VOC's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(array.astype(np.uint8))
    if palette:
        picture.putpalette([number * 3 % 256 for number in range(768)])
    picture.save(path)


def box(size: tuple[int, int], top: int, left: int, bottom: int, right: int) -> np.ndarray:
    """A mask that is set in a rectangle."""
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


def write_image(
    root: Path, key: str, size: tuple[int, int] = (6, 8), *, person: bool = True, voc: bool = True, seed: int = 0
) -> None:
    """All files of one image; with a `person`, a head above a torso."""
    random = np.random.default_rng(seed)
    (root / "JPEGImages").mkdir(parents=True, exist_ok=True)
    Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(root / "JPEGImages" / f"{key}.jpg")
    folder = "VOC12" if voc else "pascal-context"
    classes = random.choice(np.array([0, 15, 20, 255]), size)
    save_png(root / "semseg" / folder / f"{key}.png", classes, palette=voc)
    head, torso = box(size, 0, 2, 2, 5), box(size, 2, 2, 5, 5)
    things = [thing(DOG, torso)]
    if person:
        things.append(thing(PERSON, head | torso, [("head", head), ("torso", torso)]))
    save_parts(root / "human_parts" / f"{key}.mat", things)
    vectors = random.normal(size=(*size, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    save_png(root / "normals_distill" / f"{key}.png", np.round((vectors + 1) * 127.5))
    save_png(root / "sal_distill" / f"{key}.png", random.choice(np.array([0, 127, 128, 255]), size))
    labels = np.full(size, 284)
    labels[:, size[1] // 2 :] = 360
    save_context(root / "pascal-context" / "trainval" / f"{key}.mat", labels)


def write_pascal(root: Path, splits: dict[str, Sequence[str]] | None = None) -> Path:
    """A tree in which every third image shows no person and every second lacks VOC's segmentation."""
    for split, keys in (splits or {"train": ["2008_000008", "2008_000002", "2009_000015"], "val": ["2010_1"]}).items():
        (root / "ImageSets" / "Context").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / "Context" / f"{split}.txt").write_text("".join(f"{key}\n" for key in keys))
        for number, key in enumerate(keys):
            size = (6 + number % 2, 8 - number % 3)
            write_image(root, key, size, person=number % 3 != 1, voc=number % 2 == 0, seed=number)
    return root
