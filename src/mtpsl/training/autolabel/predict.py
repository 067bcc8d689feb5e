"""Predict labels of images, and keep of them what is sure among all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mtpsl.data.formats.base import Label
from mtpsl.files import write_atomically
from mtpsl.inference import Predictor
from mtpsl.inference.images import Picture, size_of
from mtpsl.inference.resize import resized
from mtpsl.tasks import Task
from mtpsl.tasks.pseudo_labels import Certainty, Confidence, Judged, agree, both_views
from mtpsl.training.autolabel.plan import Plan


class Drafts:
    """The predicted labels of every image with their certainty, in files, until it is known what is sure among all.

    A draft that an interrupted call wrote is kept.

    Args:
        folder: where they lie.
        plan: which are wanted.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self.rows = plan.missing.any(1).nonzero()[:, 0].tolist()

    def predict(self, predictors: Sequence[Predictor]) -> Iterator[None]:
        """Predict with all networks; yields once per image, those included that were there."""
        for row in self.rows:
            if not self._path(row).exists():
                picture = self.plan.train.image(row)
                wanted = [t for t, on in zip(self.plan.tasks, self.plan.missing[row].tolist(), strict=True) if on]
                write_judged(self._path(row), judge_picture(predictors, wanted, picture))
            yield

    def sure(self, confidence: Confidence) -> Iterator[tuple[int, dict[str, Label]]]:
        """Each image's row, and its labels that have a sure pixel, valid where they are sure."""
        certainty = Certainty(self.plan.tasks, confidence, decay=1.0).double()
        every = {task.name: torch.tensor([True]) for task in self.plan.tasks}
        for row in self.rows:
            certainty.count(read_judged(self._path(row)), every)
        for row in self.rows:
            judged = read_judged(self._path(row))
            found = {}
            for name, counts in certainty.counts(judged).items():
                label, valid = judged[name].label[0], counts[0]
                if valid.any():
                    found[name] = (label.masked_fill(~(valid if label.ndim == 2 else valid[None]), 0), valid)
            yield row, found

    def _path(self, row: int) -> Path:
        return self.folder / f"{row}.npz"


def judge_picture(predictors: Sequence[Predictor], tasks: list[Task], picture: Picture) -> dict[str, Judged]:
    """What networks together say of a picture and of its mirror image, at the picture's size."""
    size = size_of(picture)
    views: dict[str, list[Tensor]] = {task.name: [] for task in tasks}
    for predictor in predictors:
        one, other = predictor.raw(picture), predictor.raw(mirrored(picture))
        own = {task.name: task for task in predictor.tasks}
        for name in views:
            views[name] += both_views(own[name], *(resized(raw[name], size) for raw in (one, other)), hard=True)
    judged = {}
    for task in tasks:
        found = agree(task, views[task.name], hard=True)
        judged[task.name] = Judged(found.label.cpu(), found.certainty.cpu(), found.group.cpu())
    return judged


def mirrored(picture: Picture) -> Picture:
    """A picture flipped left to right."""
    return ImageOps.mirror(picture) if isinstance(picture, Image.Image) else picture.flip(-1)


def write_judged(path: Path, judged: dict[str, Judged]) -> None:
    """Write what is judged of one image, compressed; certainty is rounded to half precision."""
    arrays: dict[str, np.ndarray] = {}
    for name, one in judged.items():
        arrays |= {
            f"label/{name}": small(one.label),
            f"certainty/{name}": one.certainty.half().numpy(),
            f"group/{name}": small(one.group),
        }
    write_atomically(path, lambda temporary: np.savez_compressed(temporary, **arrays))  # type: ignore[arg-type]


def small(x: Tensor) -> np.ndarray:
    """Numbers of classes in 16 bits; others as they are."""
    return x.numpy() if x.is_floating_point() else x.numpy().astype(np.uint16)


def read_judged(path: Path) -> dict[str, Judged]:
    """What `write_judged` wrote."""
    with np.load(path) as arrays:
        names = [key.removeprefix("label/") for key in arrays.files if key.startswith("label/")]
        return {
            name: Judged(
                wide(arrays[f"label/{name}"]),
                torch.from_numpy(arrays[f"certainty/{name}"]).float(),
                wide(arrays[f"group/{name}"]),
            )
            for name in names
        }


def wide(x: np.ndarray) -> Tensor:
    """Numbers of classes as torch knows them."""
    return torch.from_numpy(x.astype(np.int64) if x.dtype == np.uint16 else x)
