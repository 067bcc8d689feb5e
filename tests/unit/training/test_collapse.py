"""A run says when its mapping makes all pairs of tasks alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from builders import LABELS, batch, make_objective, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency
from mtpsl.training.pictures import distance_of_pairs, draw_mapped_pairs


def test_the_distance_of_pairs_is_the_mean_over_any_two_maps() -> None:
    x, y = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1), torch.tensor([0.0, 3.0]).view(1, 2, 1, 1)
    assert distance_of_pairs({"a->b": (x, 2 * x), "b->a": (x, x)}) == pytest.approx(0)
    assert distance_of_pairs({"a->b": (x, x), "b->a": (y, y)}) == pytest.approx(0.5)  # 8 of 16 ordered pairs


@pytest.mark.parametrize("collapsed", [True, False])
def test_a_collapsed_mapping_is_named(
    collapsed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    some = tasks()
    network = SegNet({task.name: task.out_channels for task in some}, width=0.01)
    objective = make_objective(CrossTaskConsistency, some, network, width=0.01)
    one, other = torch.ones(1, 8, 1, 1), torch.eye(8)[:1].view(1, 8, 1, 1)
    maps = {"depth->normals": (one, one), "normals->depth": (one if collapsed else other, one)}
    monkeypatch.setattr(CrossTaskConsistency, "mapped_features", lambda self, predictions, batch: maps)
    draw_mapped_pairs(network, objective, batch(LABELS["all labelled"], (32, 32)), tmp_path)
    assert ("the mapping has collapsed" in capsys.readouterr().err) == collapsed
