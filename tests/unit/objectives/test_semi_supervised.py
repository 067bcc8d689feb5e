"""Eq. 2: where crops lie, how cropping changes values, what counts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from builders import batch, make_objective, tasks
from mtpsl.objectives import SemiSupervised
from mtpsl.objectives.semi_supervised import make_generator
from mtpsl.structures import Batch, Output
from mtpsl.tasks import Depth, Normals

SIZE = (8, 16)


def make(**options: object) -> SemiSupervised:
    return make_objective(SemiSupervised, tasks(edges=True), nn.Identity(), **options)


def constant(*values: float, count: int = 1) -> Tensor:
    return torch.tensor(values).view(1, -1, 1, 1).expand(count, -1, *SIZE).clone()


def raw(count: int) -> dict[str, Tensor]:
    """Predictions that are the same at every pixel."""
    return {
        "segmentation": constant(1.0, 0.0, 0.0, 0.0, 0.0, count=count),
        "depth": constant(6.0, count=count),
        "normals": constant(0.0, 0.0, -3.0, count=count),
        "edges": constant(0.0, count=count),
    }


def test_equation_2_by_hand() -> None:
    objective = make(scales=(2.0,), weight=10.0)
    data = batch([("depth",), ("segmentation", "normals"), ()], SIZE, edges=True)
    of_crops = {
        **raw(3),
        "depth": constant(5.0, count=3),  # 6 / 2 = 3 is expected: the crop is nearer by the zoom
        "normals": constant(0.0, 9.0, 0.0, count=3),  # unit vectors (0, 0, -1) and (0, 1, 0)
        "edges": constant(100.0, count=3),  # probabilities 1/2 and 1
    }
    terms = objective.consistency(raw(3), of_crops, data, 0)
    # unlabelled tasks: 3, 2 and 4; N = 3
    assert terms["crop/segmentation"].item() == pytest.approx(0.0, abs=1e-9)
    assert terms["crop/depth"].item() == pytest.approx(10 * (4 / 2 + 4 / 4) / 3)
    assert terms["crop/normals"].item() == pytest.approx(10 * (2 / 3) * (1 / 3 + 1 / 4) / 3)
    assert terms["crop/edges"].item() == pytest.approx(10 * 0.25 * (1 / 3 + 1 / 2 + 1 / 4) / 3)
    summed = make(scales=(2.0,), reduction="sum").consistency(raw(3), of_crops, data, 0)
    assert summed["crop/depth"].item() == pytest.approx(4 * 2 / 3)


def test_an_equivariant_network_has_no_loss() -> None:
    """Labels stand for predictions: those of the crop are the labels that augmentation gives it."""
    objective = make(scales=(1.2, 1.5))
    full = batch([("segmentation", "depth", "normals", "edges")] * 4, (32, 64), edges=True, holes=False)
    view = objective.crop.crop_view(full, make_generator(5))

    def predicted(data: Batch) -> dict[str, Tensor]:
        one_hot = torch.nn.functional.one_hot(data.targets["segmentation"], 5).movedim(-1, 1).float()
        return {**data.targets, "segmentation": 100 * one_hot, "edges": 200 * data.targets["edges"] - 100}

    unlabelled = batch([()] * 4, (32, 64), edges=True)
    terms = objective.consistency(predicted(full), predicted(view), unlabelled, 5)
    assert all(term < 1e-9 for term in terms.values())
    # and each of them sees another crop, or a depth that was not divided
    other = objective.crop.crop_view(full, make_generator(6))
    assert all(term > 1e-4 for term in objective.consistency(predicted(full), predicted(other), unlabelled, 5).values())
    depth = {**predicted(view), "depth": predicted(view)["depth"] * 1.5}
    assert objective.consistency(predicted(full), depth, unlabelled, 5)["crop/depth"] > 1e-2


class Copy(nn.Module):
    """Depth is the first channel of the image; keeps what it was shown."""

    def forward(self, images: Tensor) -> Output:
        self.images = images
        return Output({"depth": images[:, :1]}, [])


def test_images_and_predictions_are_cropped_at_the_same_place_in_one_call() -> None:
    network = Copy()
    objective = SemiSupervised([Depth()], network, scales=(2.0,))
    steps = torch.linspace(1, 2, 33)[None, :] * torch.linspace(1, 3, 33)[:, None]
    data = Batch(
        ("a", "b"), steps.expand(2, 3, 33, 33).clone(), {"depth": torch.zeros(2, 1, 33, 33)}, {"depth": EMPTY.clone()}
    )
    torch.manual_seed(3)
    loss = objective(network, data).auxiliary["crop/depth"]
    assert len(network.images) == 4
    crops = network.images[2:, :1]
    # Expected is half the value, so the difference is half the value of the crop, up to a pixel's step (nearest).
    assert loss.item() == pytest.approx((crops / 2).square().mean().item(), rel=0.1)
    torch.manual_seed(4)
    objective(network, data)
    assert not torch.equal(crops, network.images[2:, :1])


EMPTY = torch.zeros(2, 33, 33, dtype=torch.bool)


def test_gradients_reach_both_sides_of_unlabelled_tasks_only() -> None:
    data = batch([("normals",)], SIZE)
    some = [Depth(), Normals()]
    for detach in (False, True):
        objective = SemiSupervised(some, nn.Identity(), scales=(2.0,), detach=detach)
        torch.manual_seed(0)
        first = {task.name: torch.randn(1, task.out_channels, *SIZE, requires_grad=True) for task in some}
        second = {task.name: torch.randn(1, task.out_channels, *SIZE, requires_grad=True) for task in some}
        terms = objective.consistency(first, second, data, 0)
        torch.stack([*terms.values()]).sum().backward()
        assert terms["crop/normals"] == 0
        assert second["depth"].grad is not None
        assert second["depth"].grad.any()
        assert detach == (first["depth"].grad is None)
        assert all(x["normals"].grad is None or not x["normals"].grad.any() for x in (first, second))


def test_scales_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="scales"):
        make(scales=(0.5,))
