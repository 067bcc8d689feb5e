"""`scenes`: rendered rooms with exact segmentation, depth, normals and edges, as a data set and as files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import yaml
from jaxtyping import Bool
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mtpsl.data.base import LabelledDataset
from mtpsl.data.scenes.files import COLORS, FORMATS, png_array
from mtpsl.data.scenes.furniture import CLASSES
from mtpsl.data.scenes.render import render
from mtpsl.data.scenes.room import random_scene
from mtpsl.errors import UserError
from mtpsl.files import new_folder
from mtpsl.structures import Sample
from mtpsl.tasks import Depth, Edges, Normals, Segmentation, Task

SPLITS = ("train", "val")
ALL_TASKS = tuple(FORMATS)


class ScenesDataset(LabelledDataset):
    """Rooms with furniture, rendered when they are read, with every label for every pixel.

    The classes are floor, wall, ceiling, table, crate, cabinet, ball, barrel, plant and picture. They differ in shape
    and pattern; most colors are random. Depth is in meters along the optical axis; normals are in the camera's frame
    (x right, y up, z towards the viewer); an edge is where the right or lower neighbor shows another object or face.

    An image depends on `seed`, `split`, its index and `size` alone. Another size shows the same room; a larger data set
    begins with the same images.

    Args:
        count: how many images.
        split: `train` or `val`; they share no room.
        size: height and width in pixels.
        seed: another seed, other rooms.
        tasks: the labels, in this order.

    Raises:
        UserError: no image, an unknown split, an unknown, repeated or no task, an image smaller than 8 x 8, a negative
            seed.

    >>> sample = ScenesDataset(3, "val")[0]
    >>> sample.key, tuple(sample.image.shape), [*sample.targets]
    ('000000', (3, 96, 128), ['segmentation', 'depth', 'normals', 'edges'])
    """

    name = "scenes"

    def __init__(
        self,
        count: int,
        split: Literal["train", "val"] = "train",
        *,
        size: tuple[int, int] = (96, 128),
        seed: int = 0,
        tasks: Sequence[str] = ALL_TASKS,
    ) -> None:
        check_options(count, split, size, seed, tasks)
        self.split, self.size, self.seed = split, (int(size[0]), int(size[1])), int(seed)
        every: list[Task] = [
            Segmentation(num_classes=len(CLASSES), class_names=CLASSES, colors=COLORS),
            Depth(),
            Normals(),
            Edges(),
        ]
        named = {task.name: task for task in every}
        self.tasks: dict[str, Task] = {name: named[name] for name in tasks}
        self.keys = [f"{index:06d}" for index in range(count)]
        self.available: Bool[Tensor, "n k"] = torch.ones(count, len(self.tasks), dtype=torch.bool)

    def image_size(self, index: int) -> tuple[int, int]:
        """Height and width of every image."""
        return self.size

    def _read(self, index: int, tasks: Sequence[str]) -> Sample:
        image, targets = rendered(self.seed, SPLITS.index(self.split), index, self.size)
        valid = {name: torch.ones(self.size, dtype=torch.bool) for name in tasks}
        return Sample(self.keys[index], image, {name: targets[name] for name in tasks}, valid)


_kept: dict[tuple[int, int, int, tuple[int, int]], Sample] | None = None


@contextmanager
def render_once() -> Iterator[None]:
    """Keep what is rendered while this lasts, for several runs of one process."""
    global _kept
    _kept = {}
    try:
        yield
    finally:
        _kept = None


def rendered(seed: int, split: int, index: int, size: tuple[int, int]) -> tuple[Tensor, dict[str, Tensor]]:
    """The image of a room and all its labels."""
    key = (seed, split, index, size)
    kept = None if _kept is None else _kept.get(key)
    if kept is None:
        random = np.random.default_rng([seed, split, index])
        image, targets = render(random_scene(random), size, random)
        if _kept is None:
            return image, targets
        kept = _kept[key] = Sample(str(index), image, targets)
    return kept.image.clone(), {name: target.clone() for name, target in kept.targets.items()}


def check_options(count: int, split: str, size: Sequence[int], seed: int, tasks: Sequence[str]) -> None:
    """Refuse what cannot be rendered.

    Raises:
        UserError: as for `ScenesDataset`.
    """
    if split not in SPLITS:
        raise UserError(f"scenes: there is no split {split!r}: there are {', '.join(SPLITS)}")
    if count < 1:
        raise UserError(f"scenes: the number of {split} images should be at least 1, not {count}")
    if len(size) != 2 or min(size) < 8:
        raise UserError(f"scenes: size should be a height and a width of at least 8 pixels, not {tuple(size)}")
    if seed < 0:
        raise UserError(f"scenes: seed should not be negative, but is {seed}")
    for name in tasks:
        if name not in ALL_TASKS:
            raise UserError(f"scenes: unknown task {name!r}: there are {', '.join(ALL_TASKS)}")
    if not tasks or len({*tasks}) < len(tasks):
        raise UserError(f"scenes: tasks should name at least one task and none twice, not {', '.join(tasks) or 'none'}")


def write_scenes(
    out: Path,
    counts: Mapping[str, int],
    *,
    size: tuple[int, int] = (96, 128),
    seed: int = 0,
    tasks: Sequence[str] = ALL_TASKS,
    progress: bool = True,
) -> None:
    """Write `ScenesDataset` as a `folder` data set: `<out>/<split>/<image or task>/<key>.png`, `<out>/dataset.yaml`.

    The folder appears in one step when all is written. A run that is killed leaves at most the hidden `.<out>.partial`
    beside it, which the next run removes.

    Args:
        out: the folder to make.
        counts: how many images of each split, e.g. `{"train": 240, "val": 60}`.
        size: height and width in pixels.
        seed: another seed, other rooms.
        tasks: the labels to write.
        progress: show a progress bar on the error stream.

    Raises:
        UserError: `out` is a file, holds files or cannot be written; no split; or as for `ScenesDataset`.
    """
    if not counts:
        raise UserError(f"scenes: there should be images of at least one split of {', '.join(SPLITS)}")
    for split, count in counts.items():
        check_options(count, split, size, seed, tasks)
    with new_folder(Path(out)) as folder:
        for split, count in counts.items():
            dataset = ScenesDataset(count, split, size=size, seed=seed, tasks=tasks)  # type: ignore[arg-type]
            for name in ("image", *tasks):
                (folder / split / name).mkdir(parents=True)
            for index in track(range(count), f"scenes: {split}", console=Console(stderr=True), disable=not progress):
                sample = dataset[index]
                picture = (sample.image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
                labels = {name: png_array(name, target) for name, target in sample.targets.items()}
                for name, array in {"image": picture, **labels}.items():
                    Image.fromarray(array).save(folder / split / name / f"{sample.key}.png")
        description = {"name": "scenes", "tasks": {name: FORMATS[name] for name in tasks}}
        text = yaml.safe_dump(description, sort_keys=False, default_flow_style=None, width=120)
        (folder / "dataset.yaml").write_text(text, encoding="utf-8")
