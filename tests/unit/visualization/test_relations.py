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


def test_a_related_pair_is_darker_and_a_dropped_one_is_marked_in_red(tmp_path: Path) -> None:
    low, high = torch.zeros(3, 3), torch.full((3, 3), 0.9)
    plain = drawn(tmp_path / "low.png", low)
    assert drawn(tmp_path / "high.png", high).sum() < plain.sum()

    def red(picture: np.ndarray) -> int:
        return int(((picture[..., 0] > 150) & (picture[..., 1] < 80)).sum())

    marked = drawn(tmp_path / "dropped.png", low, torch.eye(3, dtype=torch.bool))
    assert red(plain) == 0
    assert red(marked) > 0


def test_what_was_never_measured_is_drawn_without_a_number(tmp_path: Path) -> None:
    assert drawn(tmp_path / "nan.png", torch.full((3, 3), float("nan"))).size
