"""A run says when its mapping makes all images alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from builders import LABELS, batch, make_objective, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency
from mtpsl.training.pictures import distance_of_images, draw_mapped_pairs


def test_the_distance_of_images_is_the_mean_over_two_images_pairs_and_sides() -> None:
    x, y = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1), torch.tensor([0.0, 3.0]).view(1, 2, 1, 1)
    assert distance_of_images([{"a->b": (x, y)}, {"a->b": (2 * x, y)}]) == pytest.approx(0)
    assert distance_of_images([{"a->b": (x, y)}, {"a->b": (y, y)}]) == pytest.approx(0.5)
    three = [{"a->b": (x, x)}, {"a->b": (x, x)}, {"a->b": (y, y), "b->a": (y, y)}]
    assert distance_of_images(three) == pytest.approx(2 / 3)  # of three pairs of images two differ
    assert distance_of_images([{"a->b": (x, x)}, {"b->a": (x, x)}]) is None


@pytest.mark.parametrize("collapsed", [True, False])
def test_a_collapsed_mapping_is_named(
    collapsed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    some = tasks()
    network = SegNet({task.name: task.out_channels for task in some}, width=0.01)
    objective = make_objective(CrossTaskConsistency, some, network, width=0.01)
    one, other = torch.ones(1, 8, 1, 1), torch.eye(8)[:1].view(1, 8, 1, 1)
    data = batch(LABELS["all labelled"], (32, 32))
    maps = iter([one, *[one if collapsed else other] * (len(data) - 1)])

    def mapped(*given: object) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        x = next(maps)
        return {"depth -> normals": (x, x)}

    monkeypatch.setattr(CrossTaskConsistency, "mapped_features", mapped)
    draw_mapped_pairs(network, objective, [data], tmp_path)
    assert ("the mapping has collapsed" in capsys.readouterr().err) == collapsed
    assert [path.suffix for path in tmp_path.iterdir()] == [".png"]
