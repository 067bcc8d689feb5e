"""Predictions of tasks of which one is known to follow from another."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from builders import batch, leaf_names, make_objective, tasks
from mtpsl.data.relations import EdgesFromSegmentation
from mtpsl.networks import SegNet
from mtpsl.objectives import OBJECTIVES, Objective, RelationOptions, Supervised
from mtpsl.objectives.known_relations import EdgesOfClasses, RelationTerms
from mtpsl.objectives.known_relations.class_edges import class_boundary
from mtpsl.objectives.supervised import SupervisedObjective
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Depth, Edges, HumanParts, Normals, Saliency, Segmentation

NAMES = [name for name in OBJECTIVES if name != "stl"]  # one task has no relation
LABELS = [("segmentation",), ("edges",), ("depth", "edges"), ("normals",)]
TERM, OTHER = "segmentation=>edges", "depth=>normals"


def make(name: str, **options: object) -> tuple[SegNet, Objective]:
    torch.manual_seed(0)
    some = tasks(edges=True)
    network = SegNet({task.name: task.out_channels for task in some}, width=0.01)
    small = {"width": 0.01, "discriminator_channels": 8, "start": 0.1, "first_phase": 0.1}
    small = {key: value for key, value in small.items() if key in leaf_names(OBJECTIVES[name])}
    objective = make_objective(OBJECTIVES[name], some, network, **small, **options)
    objective.set_progress(0.5)
    return network, objective


def run(name: str, data: Batch, **options: object) -> tuple[Losses, list[Tensor | None]]:
    network, objective = make(name, **options)
    torch.manual_seed(1)
    losses = objective(network, data)
    losses.total().backward()
    return losses, [p.grad for module in (network, objective) for p in module.parameters()]


def same(one: list[Tensor | None], other: list[Tensor | None]) -> bool:
    return all((a is None and b is None) or torch.equal(a, b) for a, b in zip(one, other, strict=True))


def one_image(target: Tensor, valid: Tensor | None = None) -> Batch:
    """A batch of one image with edges."""
    seen = torch.ones_like(target, dtype=torch.bool) if valid is None else valid
    return Batch(("a",), torch.zeros(1, 3, *target.shape), {"edges": target[None, None]}, {"edges": seen[None]})


def test_boundaries_of_sure_classes_are_the_edges_that_data_sets_derive() -> None:
    random = torch.Generator().manual_seed(0)
    for size in [(1, 1), (1, 5), (6, 1), (7, 9)]:
        classes = torch.randint(0, 3, size, generator=random)
        some = (Segmentation(num_classes=3), Edges())
        derived, _ = EdgesFromSegmentation("segmentation").derive("a", some, classes, torch.ones(size).bool())
        one_hot = nn.functional.one_hot(classes, 3).permute(2, 0, 1)[None].float()
        assert torch.equal(class_boundary(one_hot)[0], derived)


def test_boundaries_of_unsure_classes_by_hand() -> None:
    first = torch.tensor([[0.9, 0.6], [0.2, 0.5]])
    found = class_boundary(torch.stack([first, 1 - first])[None])[0, 0]
    expected = [[1 - (0.9 * 0.6 * 0.2 + 0.1 * 0.4 * 0.8), 1 - (0.6 * 0.5 + 0.4 * 0.5)], [0.5, 0.0]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_the_loss_by_hand() -> None:
    # A row of three pixels: boundaries 1 - (0.8 * 0.3 + 0.2 * 0.7) = 0.62 and 1 - 0.3 * 0.3 - 0.7 * 0.7 = 0.42, and 0
    first = torch.tensor([[0.8, 0.3, 0.3]])
    predictions = {"segmentation": torch.stack([first, 1 - first]).log()[None]}
    some = Segmentation(num_classes=2), Edges(positive_weight=0.9)
    data = one_image(torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[True, True, False]]))
    strict = EdgesOfClasses(*some, RelationOptions(tolerance=0)).losses(predictions, data)
    assert strict.tolist() == pytest.approx([-(0.1 * math.log(1 - 0.62) + 0.9 * math.log(0.42)) / 2])
    near = EdgesOfClasses(*some, RelationOptions(tolerance=1)).losses(predictions, data)
    assert near.tolist() == pytest.approx([-(0.1 * math.log(1 - 0.62) + 0.9 * math.log(0.62)) / 2])


def test_terms_are_averaged_over_labelled_images_and_rise() -> None:
    some, data = tasks(edges=True), batch(LABELS, (32, 32), edges=True)
    predictions = {task.name: torch.zeros(4, task.out_channels, 32, 32) for task in some}
    terms = RelationTerms(some, RelationOptions(weight=0.5, ramp=0.4))
    each = terms.relations[0].losses(predictions, data)
    assert [bool(x) for x in each] == [False, True, True, False]
    for progress, share in [(0.0, 0.0), (0.1, 0.25), (0.4, 1.0), (1.0, 1.0)]:
        found = terms.terms(predictions, data, progress)
        assert [*found] == [TERM, OTHER]
        assert not found[OTHER]  # no camera
        assert found[TERM].item() == pytest.approx(0.5 * share * (each[1] + each[2]).item() / 4)
    at_once = RelationTerms(some, RelationOptions(weight=0.5, ramp=0.0)).terms(predictions, data, 0.0)
    assert at_once[TERM].item() == pytest.approx(0.5 * (each[1] + each[2]).item() / 4)


def test_sure_predictions_have_finite_losses_and_gradients() -> None:
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 0, :, :2], logits[:, 1, :, 2:] = 200.0, 200.0
    logits.requires_grad_()
    for target in (torch.zeros(4, 4), torch.ones(4, 4)):
        relation = EdgesOfClasses(Segmentation(num_classes=2), Edges(), RelationOptions())
        loss = relation.losses({"segmentation": logits}, one_image(target)).sum()
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_carries_them(name: str) -> None:
    data = batch(LABELS, (32, 32), edges=True)
    (plain, _), (with_term, _) = run(name, data), run(name, data, **{"relations.weight": 2.0, "relations.ramp": 1.0})
    assert issubclass(OBJECTIVES[name], SupervisedObjective)
    assert list(with_term.auxiliary) == [*plain.auxiliary, TERM, OTHER]
    assert with_term.auxiliary[TERM] > 0
    for one, other in zip(plain.tasks.values(), with_term.tasks.values(), strict=True):
        assert torch.equal(one, other)
    for term, value in plain.auxiliary.items():
        assert torch.equal(value, with_term.auxiliary[term]), term


@pytest.mark.parametrize("name", NAMES)
def test_hidden_labels_do_not_reach_them(name: str) -> None:
    data = batch(LABELS, (32, 32), edges=True)
    spoiled = {}
    for task, target in data.targets.items():
        hidden = ~data.valid[task] if target.ndim == 3 else (~data.valid[task])[:, None].expand_as(target)
        spoiled[task] = target.masked_fill(hidden, 3 if task == "segmentation" else float("nan"))
    options = {"relations.weight": 2.0, "relations.ramp": 0.0}
    (losses, gradients), (others, other_gradients) = (
        run(name, seen, **options) for seen in (data, replace(data, targets=spoiled))
    )
    assert torch.equal(losses.auxiliary[TERM], others.auxiliary[TERM])
    assert same(gradients, other_gradients)


def test_the_gradient_reaches_the_segmentation_alone() -> None:
    network, objective = make("supervised", **{"relations.weight": 1.0})
    losses = objective(network, batch([("edges",), ("depth",)], (32, 32), edges=True))
    losses.auxiliary[TERM].backward()
    for task, head in network.heads.items():
        touched = any(p.grad is not None and bool(p.grad.any()) for p in head.parameters())
        assert touched == (task == "segmentation"), task


def test_without_weight_nothing_is_added_to_anything() -> None:
    data = batch(LABELS, (32, 32), edges=True)
    (plain, gradients), (off, others) = run("supervised", data), run("supervised", data, **{"relations.weight": 0.0})
    assert not off.auxiliary
    assert torch.equal(plain.total(), off.total())
    assert same(gradients, others)


def test_a_boundary_moves_to_the_labelled_edge() -> None:
    """An unsure boundary between two classes, off by one or two pixels."""
    edges = torch.zeros(6, 8)
    edges[:, 4] = 1.0
    for begin in (3, 6):
        ramp = 0.4 * (begin - torch.arange(8)).float().expand(1, 6, 8)
        logits = torch.stack([ramp, -ramp], 1).requires_grad_()
        relation = EdgesOfClasses(Segmentation(num_classes=2), Edges(positive_weight=0.8), RelationOptions(tolerance=0))
        optimizer = torch.optim.Adam([logits], lr=0.05)
        for _ in range(200):
            optimizer.zero_grad()
            relation.losses({"segmentation": logits}, one_image(edges)).sum().backward()
            optimizer.step()
        assert torch.equal(logits.argmax(1)[0], (torch.arange(8) > 4).long().expand(6, 8)), logits.argmax(1)


def test_mixed_precision_computes_them_in_float32() -> None:
    predictions = {"segmentation": torch.randn(1, 2, 4, 4).bfloat16()}
    relation = EdgesOfClasses(Segmentation(num_classes=2), Edges(), RelationOptions())
    with torch.autocast("cpu", torch.bfloat16):
        assert relation.losses(predictions, one_image(torch.zeros(4, 4))).dtype == torch.float32


def test_a_weight_without_a_relation_is_refused() -> None:
    network = SegNet({task.name: task.out_channels for task in tasks()}, width=0.01)
    with pytest.raises(ValueError, match="of the tasks segmentation, depth no two have a known relation"):
        Supervised(tasks()[:2], network, relations=RelationOptions(weight=0.3))
    assert not Supervised(tasks(), network).related.relations


def test_of_the_tasks_of_pascal_only_segmentation_and_edges_are_related() -> None:
    pascal = [Segmentation(num_classes=21), HumanParts(), Normals(), Saliency(), Edges()]
    options = RelationOptions(weight=0.3)
    assert [one.name for one in RelationTerms(pascal, options).relations] == [TERM]
    for left_out in (0, 4):
        with pytest.raises(ValueError, match="no two have a known relation"):
            RelationTerms([task for number, task in enumerate(pascal) if number != left_out], options)


def test_every_two_tasks_of_the_types_are_related_whatever_they_are_called() -> None:
    some = [Depth("far"), Depth("near", inverse=True), Normals("normals"), Normals("smooth")]
    names = [one.name for one in RelationTerms(some, RelationOptions(weight=0.3)).relations]
    assert names == ["far=>normals", "far=>smooth", "near=>normals", "near=>smooth"]
