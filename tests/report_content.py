"""Contents of reports for tests."""

from __future__ import annotations

import zlib

import numpy as np

from mtpsl.visualization.report.content import (
    Annotation,
    ClassTable,
    Confusion,
    Histogram,
    Legend,
    Looked,
    Picture,
    RunContent,
    Scale,
    ScoreLine,
    Sheet,
    TaskView,
)

PARTS = ("photo", "label", "prediction", "error", "prediction on the photo")


def noise(seed: int, size: tuple[int, int], detail: int = 4) -> np.ndarray:
    """Squares of random colors, of so many pixels a side, with grain: larger as a file than photos are."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (size[0] // detail, size[1] // detail, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((detail, detail, 1), np.uint8)) // 2 + random.integers(0, 9, (*size, 1), np.uint8)


def sheet(
    key: str,
    size: tuple[int, int] = (32, 48),
    tasks: tuple[str, ...] = ("segmentation", "depth"),
    detail: int = 4,
) -> Sheet:
    """An image with pictures that are all different."""
    legend = Legend([("wall", "#102030"), ("no label here", "")], Scale(["#000000", "#ffffff"], 0.5, 4.0, "m", True))
    views = []
    for number, task in enumerate(tasks):
        seed = zlib.crc32(f"{key} {task}".encode())
        pictures = [Picture(name, noise(seed + place, size, detail)) for place, name in enumerate(PARTS)]
        views.append(
            TaskView(task, pictures, f"score {number}", legend, Legend(disk=noise(1, (32, 32)), disk_words="up"))
        )
    return Sheet(key, views)


def run(name: str = "supervised", sheets: int = 2, size: tuple[int, int] = (32, 48)) -> RunContent:
    """A run with everything that a page can show."""
    keys = [f"img_{index}" for index in range(sheets)]
    one = [sheet("img_0", size, ("segmentation",))]
    epochs = [1.0, 2.0, 3.0, 4.0]
    return RunContent(
        name,
        [("data", "rooms"), ("epochs", "4")],
        [
            ScoreLine("segmentation", "miou", "%", True, True, 60.0, 62.5, 2),
            ScoreLine("depth", "abs_err", "m", False, True, 0.25, 0.25, 4),
            ScoreLine("depth", "rel_err", "", False, False, None),
        ],
        {
            "epoch": epochs,
            "lr": [0.1] * 4,
            "seconds": [30.0, 60.0, 30.0, 30.0],
            "loss": [4.0, 3.0, 2.0, 1.0],
            "loss/depth": [2.0, 1.5, 1.0, 0.5],
            "val/segmentation/miou": [None, 62.5, None, 60.0],
            "val/depth/abs_err": [None, 0.5, None, 0.25],
        },
        Annotation(
            ["segmentation", "depth"],
            np.array([[True, False], [False, True], [True, True]]),
            [("a", noise(2, size), [noise(3, size), None])],
        ),
        Looked(
            10,
            20,
            [sheet(key, size) for key in keys],
            {"segmentation": one},
            {"segmentation": one},
            [ClassTable("segmentation", {"wall": 50.0, "floor": None})],
            [Confusion("segmentation", ["wall", "floor"], np.array([[30, 10], [0, 0]]))],
            [Histogram("depth", "m", [0.0, 0.5, 1.0], [0.7, 0.3], "half of the pixels are off by at most 0.2 m")],
        ),
        [Picture("relations of tasks", noise(4, size))],
        "the recipe own_data",
        [("training.lr", "0.1", "0.002")],
        [("training.seed", "0")],
        [("Python", "3.11")],
        [("With the run's folder:", "mtpsl train RUN/config.yaml --out NEW")],
        ["something is missing"],
    )
