"""The picture of related tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mtpsl.visualization.relations import draw_relations

NAMES = ["segmentation", "depth", "normals"]


def drawn(path: Path, gain: torch.Tensor, related: torch.Tensor | None = None) -> np.ndarray:
    draw_relations(NAMES, gain, related, path, "Related tasks")
    return np.asarray(Image.open(path).convert("RGB"), dtype=int)


def test_no_gain_is_white_a_gain_blue_and_a_loss_red(tmp_path: Path) -> None:
    def middle(gain: float) -> tuple[int, int, int]:
        """The color of the cell of depth and segmentation, beside its number."""
        shown = drawn(tmp_path / "a.png", torch.full((3, 3), gain))
        blank = drawn(tmp_path / "b.png", torch.full((3, 3), float("nan")))
        changed = shown[: int(0.8 * shown.shape[0]), : int(0.7 * shown.shape[1])]
        same = (changed == blank[: changed.shape[0], : changed.shape[1]]).all(2)
        colors, counts = np.unique(changed[~same].reshape(-1, 3), axis=0, return_counts=True)
        red, green, blue = colors[counts.argmax()].tolist()
        return red, green, blue

    red, green, blue = middle(0.0)
    assert min(red, green, blue) > 240
    red, _, blue = middle(0.8)
    assert blue > red + 60
    red, _, blue = middle(-0.8)
    assert red > blue + 60


def test_a_dropped_pair_is_marked_in_red(tmp_path: Path) -> None:
    low = torch.zeros(3, 3)

    def red(picture: np.ndarray) -> int:
        return int(((picture[..., 0] > 150) & (picture[..., 1] < 80)).sum())

    plain = drawn(tmp_path / "low.png", low)
    marked = drawn(tmp_path / "dropped.png", low, torch.eye(3, dtype=torch.bool))
    assert red(marked) > red(plain) + 50


def test_what_was_never_measured_is_drawn_without_a_number(tmp_path: Path) -> None:
    assert drawn(tmp_path / "nan.png", torch.full((3, 3), float("nan"))).size
