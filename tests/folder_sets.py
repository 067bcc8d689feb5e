"""Small data sets of the layout `folder`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from mtpsl.data.base import StoredDataset
from mtpsl.structures import Sample

FORMATS: dict[str, dict[str, Any]] = {
    "segmentation": {"classes": ["floor", "wall", "box"], "ignore": 255},
    "depth": {"scale": 0.001, "missing": 0, "unit": "m"},
    "normals": {"offset": 128, "divisor": 127},
    "edges": {"ignore": 255},
}


def label(task: str, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """What a label's file holds, with holes."""
    if task == "segmentation":
        return random.choice(np.array([0, 1, 2, 255], np.uint8), size)
    if task == "depth":
        return random.integers(0, 4, size).astype(np.uint16) * 1234
    if task == "normals":
        vectors = random.normal(size=(*size, 3))
        vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
        return np.where(random.random((*size, 1)) < 0.2, 128, np.round(127 * vectors) + 128).astype(np.uint8)
    return random.choice(np.array([0, 0, 0, 1, 255], np.uint8), size)


def write_folder_set(
    root: Path,
    tasks: Sequence[str] = tuple(FORMATS),
    *,
    splits: dict[str, int] | None = None,
    size: tuple[int, int] = (12, 20),
    name: str = "small",
    seed: int = 0,
    **formats: dict[str, Any],
) -> Path:
    """Random pictures with random labels; every third label is missing, image 1 has another size."""
    random = np.random.default_rng(seed)
    for split, count in (splits or {"train": 4, "val": 2}).items():
        for number in range(count):
            shape = size if number != 1 else (size[0] + 2, size[1] - 3)
            arrays = {"image": random.integers(0, 256, (*shape, 3), np.uint8)}
            arrays |= {
                task: label(task, shape, random) for place, task in enumerate(tasks) if (place + number) % 3 != 1
            }
            for kind, array in arrays.items():
                path = root / split / kind / f"{number:03}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(path)
    entries = {task: {**FORMATS[task], **formats.get(task, {})} for task in tasks}
    (root / "dataset.yaml").write_text(yaml.safe_dump({"name": name, "tasks": entries}, sort_keys=False))
    return root


def assert_same_samples(a: StoredDataset, b: StoredDataset, *, keys: bool = True) -> None:
    """Two data sets give the same samples, to the bit."""
    assert len(a) == len(b)
    assert a.keys == b.keys or not keys
    assert a.available.tolist() == b.available.tolist()
    assert {name: task.options() for name, task in a.tasks.items()} == {
        name: task.options() for name, task in b.tasks.items()
    }
    for index in range(len(a)):
        assert_same_sample(a[index], b[index], keys=keys)


def assert_same_sample(x: Sample, y: Sample, *, keys: bool = True) -> None:
    """Two samples are the same, to the bit."""
    assert x.key == y.key or not keys
    pairs = [(x.image, y.image)]
    assert [*x.targets] == [*y.targets] == [*x.valid] == [*y.valid]
    pairs += [(x.targets[name], y.targets[name]) for name in x.targets]
    pairs += [(x.valid[name], y.valid[name]) for name in x.valid]
    for first, second in pairs:
        assert first.dtype == second.dtype
        assert first.shape == second.shape
        assert first.contiguous().numpy().tobytes() == second.contiguous().numpy().tobytes()
