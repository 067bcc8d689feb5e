"""A small data set, and the command line as a user calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

PLAIN = ["--config", str(Path(__file__).with_name("plain.yaml"))]
SMALL = [
    *PLAIN,
    "--network.width", "0.125",
    "--objective.name", "cross_task",
    "--objective.mapping.width", "0.125",
    "--training.batch_size", "2",
    "--training.sheets", "1",
    "--training.validate_every", "2",
    "--training.accelerator", "cpu",
    "--quiet",
]  # fmt: skip


def write_dataset(root: Path, train: int = 6, val: int = 3, size: tuple[int, int] = (32, 64)) -> Path:
    """Pictures with segmentation, depth and normals that can be guessed from their colors."""
    random = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for index in range(count):
            classes = np.kron(random.integers(0, 3, (size[0] // 8, size[1] // 8)), np.ones((8, 8))).astype(np.uint8)
            picture = np.stack([classes * 80, 255 - classes * 60, np.full(size, 20 * index)], -1).astype(np.uint8)
            labels = {
                "image": picture,
                "segmentation": classes,
                "depth": (1000 + 500 * classes.astype(np.uint16)).astype(np.uint16),
                "normals": np.full((*size, 3), (128, 128, 255), np.uint8),
            }
            for kind, values in labels.items():
                folder = root / split / kind
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(folder / f"{index:03}.png")
    description = {
        "name": "small",
        "tasks": {
            "segmentation": {"classes": ["a", "b", "c"], "ignore": 255},
            "depth": {"scale": 0.001, "missing": 0, "unit": "m"},
            "normals": {"offset": 128, "divisor": 127},
        },
    }
    (root / "dataset.yaml").write_text(yaml.safe_dump(description))
    return root


def mtpsl(*arguments: object, timeout: float = 200, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "mtpsl", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **variables},
    )
