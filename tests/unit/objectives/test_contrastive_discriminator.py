"""Positive and negative pairs, the hinge, and who works against whom."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from builders import batch, make_objective, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import ContrastiveLoss, DiscriminatorLoss
from mtpsl.objectives.contrastive import hinge
from mtpsl.objectives.discriminator import pair_loss, scale_gradient
from mtpsl.objectives.joint_space import JointSpace
from mtpsl.objectives.mapping.pairs import plan_pairs
from mtpsl.structures import Batch
from mtpsl.tasks import Depth, Normals

WIDTH = 0.01
SIZE = (32, 64)
TWO = [("depth",), ("normals",), ("depth",)]


def make(kind: type[JointSpace], **options: object) -> tuple[SegNet, JointSpace]:
    """Depth and normals: nothing is sampled."""
    torch.manual_seed(0)
    some = [Depth(), Normals()]
    network = SegNet({task.name: task.out_channels for task in some}, width=WIDTH)
    if kind is DiscriminatorLoss:
        options = {"discriminator_channels": 8, **options}
    return network, make_objective(kind, some, network, width=WIDTH, **options)


def two_tasks(labels: list[tuple[str, ...]]) -> Batch:
    data = batch(labels, SIZE)
    names = ("depth", "normals")
    return Batch(data.keys, data.images, {n: data.targets[n] for n in names}, {n: data.valid[n] for n in names})


def pixels(*vectors: tuple[float, float]) -> Tensor:
    return torch.tensor(vectors, dtype=torch.float32).T.reshape(1, 2, 1, -1)


def test_the_hinge_by_hand() -> None:
    label, same = pixels((1, 0), (0, 2)), pixels((3, 0), (1, 1))
    other = pixels((0, 1), (0, 1))
    positive, negative = (0 + 1 - math.sqrt(0.5)) / 2, (1 + 0) / 2
    assert hinge(label, same, other, 0.5).item() == pytest.approx(positive - negative + 0.5)
    assert hinge(label, same, other, 0.1).item() == 0
    assert hinge(label, other, same, 0.0).item() == pytest.approx(negative - positive)


def test_rows_of_triplets_are_label_prediction_and_prediction_of_the_next_image() -> None:
    network, objective = make(ContrastiveLoss)
    data = two_tasks(TWO)
    predictions = network(data.images).predictions
    pairs = plan_pairs(torch.stack([data.labelled(name) for name in ("depth", "normals")], 1))
    triplets = objective.map_triplets(predictions, data, pairs)
    some = objective.tasks
    for row, (n, s, t) in enumerate(pairs):
        pair = torch.tensor([pairs[row].column(2)])

        def alone(encoding: Tensor, task: int, pair: Tensor = pair) -> Tensor:
            return objective.mapping(objective.mapping.stem(encoding, task), pair)[0]

        name, other = some[t].name, (n + 1) % 3
        label = some[t].encode_target(data.targets[name][n : n + 1], data.valid[name][n : n + 1])
        source = some[s].encode_prediction(predictions[some[s].name])
        torch.testing.assert_close(triplets.label[row], alone(label, t), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(triplets.same[row], alone(source[n : n + 1], s), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(triplets.other[row], alone(source[other : other + 1], s), rtol=1e-4, atol=1e-5)


def test_contrastive_terms_are_averaged_like_equation_4() -> None:
    network, objective = make(ContrastiveLoss, weight=3.0)
    data = two_tasks(TWO)
    output = network.eval()(data.images)
    terms = objective.contrasts(output.predictions, data)  # type: ignore[operator]
    pairs = plan_pairs(torch.stack([data.labelled(name) for name in ("depth", "normals")], 1))
    rows = hinge(*objective.map_triplets(output.predictions, data, pairs), 0.5).tolist()
    assert [pair.image for pair in pairs] == [0, 1, 2]
    assert terms["normals->depth"].item() == pytest.approx(3 * (rows[0] + rows[2]) / 3, rel=1e-5)
    assert terms["depth->normals"].item() == pytest.approx(3 * rows[1] / 3, rel=1e-5)


@pytest.mark.parametrize("kind", [ContrastiveLoss, DiscriminatorLoss])
def test_one_image_has_no_negative_pair(kind: type[JointSpace]) -> None:
    network, objective = make(kind)
    losses = objective(network, two_tasks([("depth",)]))
    assert all(term == 0 for term in losses.auxiliary.values())
    losses.total().backward()
    assert all(p.grad is None for p in objective.parameters())


@pytest.mark.parametrize("kind", [ContrastiveLoss, DiscriminatorLoss])
def test_gradients_reach_sources_and_the_mapping_but_not_targets(kind: type[JointSpace]) -> None:
    network, objective = make(kind)
    data = two_tasks([("depth",), ("depth",)])
    losses = objective(network, data)
    losses.auxiliary["normals->depth"].backward()
    assert any(p.grad is not None and p.grad.any() for p in network.heads["normals"].parameters())
    assert all(p.grad is None or not p.grad.any() for p in network.heads["depth"].parameters())
    assert all(p.grad is not None and p.grad.any() for p in objective.mapping.conditioning()[:2])
    assert losses.auxiliary["depth->normals"] == 0


def test_the_loss_of_a_pair_of_logits_by_hand() -> None:
    zero, some = torch.tensor([0.0, math.log(3)]), torch.tensor([0.0, -math.log(4)])
    # probability of being positive: 1/2, 3/4 for positive rows and 1/2, 1/5 for negative ones
    expected = [math.log(2), -(math.log(3 / 4) + math.log(4 / 5)) / 2]
    assert pair_loss(zero, some).tolist() == pytest.approx(expected)


def gradients(**options: object) -> tuple[dict[str, Tensor], dict[str, Tensor], float]:
    """Gradients of the network and of the objective from the term alone, and its value."""
    network, objective = make(DiscriminatorLoss, **options)
    losses = objective(network.eval(), two_tasks(TWO))
    term = torch.stack([*losses.auxiliary.values()]).sum()
    term.backward()
    return (
        {name: p.grad for name, p in network.named_parameters() if p.grad is not None},
        {name: p.grad for name, p in objective.named_parameters() if p.grad is not None},
        term.item(),
    )


def test_network_and_mapping_work_against_or_with_a_discriminator_that_always_learns() -> None:
    against, own_against, value = gradients(weight=2.0)
    along, own_along, same = gradients(adversarial=False)
    assert value == same
    assert any(name.startswith("discriminator") for name in own_along)
    for name, grad in own_along.items():
        factor = 1.0 if name.startswith("discriminator") else -2.0
        torch.testing.assert_close(own_against[name], factor * grad)
    assert any(grad.any() for grad in along.values())
    for name, grad in along.items():
        torch.testing.assert_close(against[name], -2 * grad)


@pytest.mark.parametrize("adversarial", [True, False])
def test_a_step_down_the_gradient_moves_the_loss_as_each_side_wants(adversarial: bool) -> None:
    data = two_tasks(TWO)
    for part in ("discriminator", "mapping"):
        network, objective = make(DiscriminatorLoss, adversarial=adversarial)
        network.eval()

        def loss(network: nn.Module = network, objective: JointSpace = objective) -> Tensor:
            return torch.stack([*objective(network, data).auxiliary.values()]).sum()

        before = loss()
        before.backward()
        with torch.no_grad():
            for parameter in getattr(objective, part).parameters():
                if parameter.grad is not None:
                    parameter -= 1e-2 * parameter.grad
        rises = adversarial and part == "mapping"
        assert (loss() > before) == rises


def test_a_scaled_gradient_is_the_identity_forwards() -> None:
    x = torch.tensor([[[[1.0, 2.0]]]], requires_grad=True)
    y = scale_gradient(x, -0.5)
    assert torch.equal(x, y)
    (y * torch.tensor([3.0, 4.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [-1.5, -2.0]


def test_learning_rates_of_mapping_conditioning_and_discriminator() -> None:
    _, objective = make(DiscriminatorLoss, lr=1e-4, film_lr=1e-3, film_halving=30, discriminator_lr=1e-2)
    groups = list(objective.parameter_groups(5e-4))
    assert [group["lr"] for group in groups] == [1e-4, 1e-3, 1e-2]
    assert groups[1]["halve_every"] == 30
    assert not make(ContrastiveLoss, conditional=False)[1].mapping.conditioning()


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="margin"):
        make(ContrastiveLoss, margin=-0.1)
    with pytest.raises(ValueError, match="discriminator_channels"):
        make(DiscriminatorLoss, discriminator_channels=0)
    with pytest.raises(ValueError, match="at least 2"):
        ContrastiveLoss(tasks()[:1], nn.Identity())
