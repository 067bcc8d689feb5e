"""Direct, perceptual and pre-trained maps: values by hand and where gradients go."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from builders import LABELS, batch, make_objective, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import DirectMap, PerceptualMap, XTask
from mtpsl.objectives.auxiliary import AuxiliaryObjective
from mtpsl.objectives.mapping.pair_maps import PairMaps, group_by_tasks, known_encoding
from mtpsl.objectives.mapping.pairs import Pair
from mtpsl.structures import Batch
from mtpsl.tasks import Depth, Normals

WIDTH = 0.01  # every layer has the least number of channels, 8
SIZE = (32, 32)
SEGMENTATION, DEPTH, NORMALS = range(3)


def make(kind: type[AuxiliaryObjective], **options: object) -> tuple[SegNet, AuxiliaryObjective]:
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in tasks()}, width=WIDTH)
    return network, make_objective(kind, tasks(), network, width=WIDTH, **options)


def reached(*modules: nn.Module) -> bool:
    """Whether any parameter has a gradient other than zero."""
    return any(p.grad is not None and bool(p.grad.any()) for module in modules for p in module.parameters())


def stand_in(objective: AuxiliaryObjective, function: Callable[[Tensor, int, int], Tensor]) -> None:
    """Replace the mappings by a function."""
    objective.mapping.forward = lambda x, s, t, *, fixed=False: function(x, s, t)  # type: ignore


def wrong_everywhere(data: Batch) -> dict[str, Tensor]:
    return {task.name: torch.ones(len(data), task.out_channels, *SIZE) for task in tasks()}


# Direct-Map


def test_direct_map_by_hand() -> None:
    _, objective = make(DirectMap, weight=3.0)
    data = batch([("depth",), ("depth", "segmentation"), ()], SIZE, holes=False)

    def mapped(x: Tensor, source: int, target: int) -> Tensor:
        # uniform over 5 classes: cross-entropy log 5; depth 10: the mean distance of the label, below, from 10
        return torch.zeros(len(x), 5, *SIZE) if target == SEGMENTATION else torch.full((len(x), 1, *SIZE), 10.0)

    stand_in(objective, mapped)
    terms = objective.mapped_losses(wrong_everywhere(data), data)  # type: ignore[operator]
    far = (10 - data.targets["depth"]).mean((1, 2, 3)).tolist()
    # image 0: |U| = 2, its depth is a target of both; image 1: |U| = 1 (normals); two images have labels
    expected = {
        "segmentation->depth": 3 * far[0] / 2 / 2,
        "normals->depth": 3 * (far[0] / 2 + far[1]) / 2,
        "normals->segmentation": 3 * math.log(5) / 2,
    }
    for name, term in terms.items():
        assert term.item() == pytest.approx(expected.get(name, 0.0), rel=1e-5)


def test_a_direct_map_trains_the_source_and_its_mapping_only() -> None:
    network, objective = make(DirectMap)
    losses = objective(network, batch([("segmentation",)] * 2, SIZE))
    losses.auxiliary["depth->segmentation"].backward()
    assert reached(network.heads["depth"])
    assert reached(network.encoder)
    assert not reached(network.heads["segmentation"], network.heads["normals"])
    used = objective.mapping.network(DEPTH, SEGMENTATION)  # type: ignore
    assert reached(used)
    assert not reached(*(m for m in objective.mapping.maps if m is not used))  # type: ignore


def test_each_network_runs_once_per_step_on_all_its_images() -> None:
    network, objective = make(DirectMap)
    calls = []
    original = PairMaps.forward

    def counted(x: Tensor, source: int, target: int, *, fixed: bool = False) -> Tensor:
        calls.append((source, target, len(x)))
        return original(objective.mapping, x, source, target, fixed=fixed)  # type: ignore[arg-type]

    objective.mapping.forward = counted  # type: ignore
    objective(network, batch([("depth",), ("segmentation",), ("depth",)], SIZE))
    assert sorted(calls) == [(0, 1, 2), (1, 0, 1), (2, 0, 1), (2, 1, 2)]


# Perceptual-Map


def test_perceptual_distance_by_hand() -> None:
    some = [Depth(), Normals()]
    objective = make_objective(PerceptualMap, some, nn.Identity(), width=WIDTH, weight=3.0)
    data = batch([("normals",), ("depth",)], SIZE)
    data.targets["normals"][:] = torch.tensor([-1.0, 0.0, 0.0]).view(3, 1, 1)
    predictions = {
        "normals": torch.tensor([0.0, 0.0, 2.0]).view(1, 3, 1, 1).expand(2, 3, *SIZE),
        "depth": torch.ones(2, 1, *SIZE),
    }

    def mapped(x: Tensor, source: int, target: int) -> Tensor:
        return x.sum(1, keepdim=True) if target == 0 else x.expand(-1, 3, -1, -1)

    stand_in(objective, mapped)
    distances, fits = objective.perceptual(predictions, data)
    # (0, 0, 1) is encoded as (1/2, 1/2, 1), the label (-1, 0, 0) as (0, 1/2, 1/2): the sums differ by 1 at every valid
    # pixel. One pair per image, two images with labels.
    assert distances["normals->depth"].item() == pytest.approx(3 / 2)
    # depth, encoded, is positive, so its mapped direction is (1, 1, 1) / sqrt(3) for prediction and label alike
    assert distances["depth->normals"].item() == pytest.approx(0.0, abs=1e-6)
    # m(normals prediction) = 2 at image 1, whose depth is labelled; the weight is not for the mappings
    off = (2 - data.targets["depth"][1, 0])[data.valid["depth"][1]].abs().mean().item()
    assert fits["mapping/normals->depth"].item() == pytest.approx(off / 2, rel=1e-5)


def test_perceptual_terms_train_either_the_network_or_a_mapping() -> None:
    data = batch([("segmentation",), ("segmentation", "depth")], SIZE)
    network, objective = make(PerceptualMap)
    losses = objective(network, data)
    losses.auxiliary["segmentation->depth"].backward(retain_graph=True)
    assert reached(network.heads["segmentation"])
    assert not reached(network.heads["depth"], network.heads["normals"], objective.mapping)
    assert losses.auxiliary["normals->depth"] == 0  # the source has no label
    network.zero_grad()
    losses.auxiliary["mapping/depth->segmentation"].backward()
    used = objective.mapping.network(DEPTH, SEGMENTATION)  # type: ignore
    assert reached(used)
    assert not reached(network, *(m for m in objective.mapping.maps if m is not used))  # type: ignore


def test_the_network_gets_no_distance_from_the_holes_of_a_label() -> None:
    _, objective = make(PerceptualMap)
    data = batch([("normals",)], SIZE)
    torch.manual_seed(0)
    predictions = {task.name: torch.randn(1, task.out_channels, *SIZE) for task in tasks()}
    valid = data.valid["normals"][:, None]
    predictions["normals"] = torch.where(valid, data.targets["normals"], predictions["normals"])
    distances, _ = objective.perceptual(predictions, data)  # type: ignore[operator]
    assert distances["normals->depth"] < 1e-4  # the prediction is brought to length 1, the label is it up to rounding
    predictions["normals"] = -predictions["normals"]
    distances, _ = objective.perceptual(predictions, data)  # type: ignore[operator]
    assert distances["normals->depth"] > 1e-2


def test_a_mapping_learns_from_labels_where_valid_and_predictions_elsewhere() -> None:
    prediction = torch.full((2, 3, 1, 2), 1.0, requires_grad=True)
    target = torch.zeros(2, 3, 1, 2)
    target[:, 2] = 1.0
    valid = torch.tensor([[[True, False]], [[False, False]]])
    known = known_encoding(Normals(), prediction, target, valid)
    assert known[0, :, 0, 0].tolist() == [0.5, 0.5, 1.0]
    torch.testing.assert_close(known[1, :, 0, 1], torch.full((3,), (1 + 3**-0.5) / 2))
    assert not known.requires_grad


# X-task


def test_x_task_learns_mappings_first_and_freezes_them_then() -> None:
    network, objective = make(XTask, first_phase=0.4)
    data = batch(LABELS["all labelled"], SIZE)
    optimizer = torch.optim.Adam([*network.parameters(), *objective.parameters()], weight_decay=0.1)
    for progress, learns in [(0.0, True), (0.39, True), (0.4, False), (0.9, False)]:
        objective.train()  # as trainers do
        objective.set_progress(progress)
        before = {name: x.clone() for name, x in objective.state_dict().items()}
        optimizer.zero_grad()
        losses = objective(network, data)
        losses.total().backward()
        distances = [x for name, x in losses.auxiliary.items() if "/" not in name]
        fits = [x for name, x in losses.auxiliary.items() if "/" in name]
        assert all((x > 0) == learns for x in fits)
        assert all((x > 0) != learns for x in distances)
        assert learns or all(p.grad is None for p in objective.parameters())
        optimizer.step()
        changed = [name for name, x in objective.state_dict().items() if not torch.equal(x, before[name])]
        assert bool(changed) == learns
    assert reached(network.heads["normals"])


def test_the_first_phase_of_x_task_is_plain_training_for_the_network() -> None:
    network, objective = make(XTask)
    objective.set_progress(0.0)
    losses = objective(network, batch(LABELS["one label each"], SIZE))
    terms = torch.stack([*losses.auxiliary.values()]).sum()
    terms.backward()
    assert not reached(network)
    assert reached(objective.mapping)


def test_x_task_goes_on_from_its_state_and_the_progress_alone() -> None:
    network, objective = make(XTask)
    objective.set_progress(0.0)
    data = batch(LABELS["one label each"], SIZE)
    objective(network, data)  # moves the statistics
    resumed = make_objective(XTask, tasks(), network, width=WIDTH)
    resumed.load_state_dict(objective.state_dict())
    network.eval()
    values = []
    for one in (objective, resumed):
        one.set_progress(0.8)
        torch.manual_seed(2)
        values.append(one(network, data).total())
    assert torch.equal(*values)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_x_task_needs_both_phases(share: float) -> None:
    with pytest.raises(ValueError, match="first_phase"):
        make(XTask, first_phase=share)


# the mappings


def test_there_is_one_network_for_every_ordered_pair() -> None:
    maps = PairMaps(tasks(), width=WIDTH)
    assert len(maps.maps) == 6
    seen = set()
    for s, source in enumerate(tasks()):
        for t, target in enumerate(tasks()):
            if s != t:
                network = maps.network(s, t)
                seen.add(id(network))
                assert [*network.heads] == [target.name]
                out = maps(torch.rand(1, source.encoding_channels, 20, 45), s, t)  # not divisible by 32
                assert out.shape == (1, target.out_channels, 20, 45)
    assert len(seen) == 6


def test_fixed_maps_have_the_same_values_and_no_gradient() -> None:
    maps = PairMaps([Depth(), Normals()], width=WIDTH).eval()
    x = torch.rand(2, 1, *SIZE, requires_grad=True)
    fixed = maps(x, 0, 1, fixed=True)
    assert torch.equal(fixed, maps(x, 0, 1))
    fixed.sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in maps.parameters())


def test_rows_are_grouped_by_pair() -> None:
    pairs = [Pair(0, 1, 0), Pair(0, 2, 0), Pair(1, 1, 0), Pair(2, 0, 1)]
    groups = [(s, t, images.tolist()) for s, t, images in group_by_tasks(pairs, torch.device("cpu"))]
    assert groups == [(0, 1, [2]), (1, 0, [0, 1]), (2, 0, [0])]


def test_a_width_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="width"):
        PairMaps(tasks(), width=0.0)
