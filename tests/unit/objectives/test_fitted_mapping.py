"""A mapping that learns from labels alone: `extensions.fit labels`."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from builders import LABELS, batch, small_cross_task
from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency
from mtpsl.objectives.distance import centered, cosine_distance
from mtpsl.objectives.fixed import fixed
from mtpsl.objectives.mapping.pairs import Pair, Side
from mtpsl.structures import Batch, Output

MIXED = [("segmentation",), ("depth", "normals")]


def make(**options: object) -> tuple[SegNet, CrossTaskConsistency]:
    network, objective = small_cross_task(fit="labels", **options)
    return network.eval(), objective


def consistency(objective: CrossTaskConsistency, output: Output, data: Batch) -> dict[str, Tensor]:
    torch.manual_seed(1)  # predictions of segmentation are sampled
    return objective.consistency(output.predictions, output.features[-1], data)


def named_sums(terms: dict[str, Tensor], *, mapping: bool) -> Tensor:
    return torch.stack([term for name, term in terms.items() if name.startswith("mapping/") == mapping]).sum()


def test_losses_by_hand_from_maps_of_one_side_at_a_time() -> None:
    network, objective = make(regularizer=0.25, weight=2.0)
    data, count = batch(MIXED), 2
    output = network(data.images)
    features = output.features[-1]

    def one(side: Side) -> Tensor:
        torch.manual_seed(1)
        return objective.map_sides(output.predictions, data, [side])

    expected = torch.tensor(0.0)
    pairs = [Pair(0, 1, 0), Pair(0, 2, 0), Pair(1, 0, 1), Pair(1, 0, 2)]  # two sources of the first, one of the second
    for pair, share in zip(pairs, (0.5, 0.5, 1.0, 1.0), strict=True):
        source = one(Side.prediction(pair))
        off = cosine_distance(source, one(Side.label(pair)))
        off = off + 0.25 * cosine_distance(source, features[[pair.image]])
        expected = expected + 2.0 * share * off.sum() / count
    fits = torch.tensor(0.0)
    for image, task, labels in ((0, 0, 1), (1, 1, 2), (1, 2, 2)):
        for other in {0, 1, 2} - {task}:
            for side in (Side.label(Pair(image, other, task)), Side.source_label(Pair(image, task, other))):
                fits = fits + cosine_distance(one(side), features[[image]]).sum() / (4 * labels) / count
    terms = consistency(objective, output, data)
    torch.testing.assert_close(named_sums(terms, mapping=False), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(named_sums(terms, mapping=True), fits, rtol=1e-4, atol=1e-6)


def test_the_mapping_learns_from_no_prediction_and_predictions_learn_from_the_fixed_mapping() -> None:
    network, objective = make()
    data = batch(MIXED)
    output = network(data.images)

    def gradients(scale: float) -> tuple[list[Tensor], dict[str, Tensor]]:
        predictions = {name: (scale * x).detach().requires_grad_() for name, x in output.predictions.items()}
        objective.zero_grad()
        terms = consistency(objective, Output(predictions, output.features), data)
        named_sums(terms, mapping=False).backward(retain_graph=True)
        assert all(parameter.grad is None for parameter in objective.parameters())
        named_sums(terms, mapping=True).backward()
        found = {name: x.grad for name, x in predictions.items() if x.grad is not None}
        return [p.grad.clone() for p in objective.parameters() if p.grad is not None], found

    once, predicted = gradients(1.0)
    again, _ = gradients(-3.0)
    assert len(once) == len(list(objective.parameters()))
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    assert set(predicted) == {"segmentation", "depth", "normals"}
    assert all(x.abs().sum() > 0 for x in predicted.values())
    assert all(parameter.requires_grad for parameter in objective.parameters())


def test_the_features_learn_nothing() -> None:
    network, objective = make()
    data = batch(MIXED)
    output = network(data.images)
    features = [x.detach().requires_grad_() for x in output.features]
    terms = consistency(objective, Output(output.predictions, features), data)
    torch.stack(list(terms.values())).sum().backward()
    assert all(x.grad is None for x in features)


def test_images_with_all_labels_teach_the_mapping_too() -> None:
    network, objective = make()
    data = batch(LABELS["all labelled"])
    terms = consistency(objective, network(data.images), data)
    assert named_sums(terms, mapping=False) == 0
    assert all(term > 0 for name, term in terms.items() if name.startswith("mapping/"))


def test_hidden_labels_change_nothing() -> None:
    network, objective = make()
    data = batch(MIXED)
    output = network(data.images)
    spoiled = {
        name: torch.where(data.labelled(name).view(-1, *[1] * (x.ndim - 1)), x, x + 1)
        for name, x in data.targets.items()
    }
    other = Batch(data.keys, data.images, spoiled, data.valid)
    torch.testing.assert_close(consistency(objective, output, data), consistency(objective, output, other))


@pytest.mark.parametrize("mapping", ["segnet", "resnet18"])
def test_a_checkpointed_mapping_has_the_same_gradients(mapping: str) -> None:
    def step(**options: object) -> list[Tensor | None]:
        network, objective = make(network=mapping, **options)
        data = batch(MIXED, size=(64, 96))
        terms = consistency(objective, network(data.images), data)
        torch.stack(list(terms.values())).sum().backward()
        return [p.grad for p in [*network.parameters(), *objective.parameters()]]

    torch.testing.assert_close(step(checkpoint=True), step())


def test_at_most_so_many_pairs_of_an_image_are_mapped_on_each_side() -> None:
    network, objective = make(max_pairs=1)
    mapped: list[int] = []
    hook = objective.mapping.register_forward_pre_hook(lambda module, arguments: mapped.append(len(arguments[1])))
    data = batch([("segmentation",)])
    torch.manual_seed(0)
    for _ in range(5):
        consistency(objective, network(data.images), data)
    hook.remove()
    labels, predictions = mapped[::2], mapped[1::2]
    assert set(predictions) == {1}
    assert max(labels) <= 4  # the drawn pair and one more, on both sides


def test_without_conditioning_what_pairs_share_is_mapped_once() -> None:
    network, objective = make(conditional=False)
    mapped: list[int] = []
    objective.mapping.register_forward_pre_hook(lambda module, arguments: mapped.append(len(arguments[1])))
    data = batch([("segmentation",)])
    output = network(data.images)
    terms = consistency(objective, output, data)
    assert mapped == [1, 2]
    sides = [Side.label(Pair(0, 1, 0)), Side.label(Pair(0, 2, 0)), Side.source_label(Pair(0, 0, 1))]
    one, two, three = objective.map_sides(output.predictions, data, sides)
    assert torch.equal(one, two)
    assert torch.equal(one, three)
    expected = cosine_distance(one[None], output.features[-1]).sum()
    torch.testing.assert_close(named_sums(terms, mapping=True), expected)


def test_maps_keep_what_tells_images_apart() -> None:
    """Features that follow from labels are found from them; the best map that ignores its input stays far away."""
    network, objective = make(center=True, level=8)
    data = batch([("segmentation",)] * 6, size=(32, 32))
    task = objective.tasks[0]
    blocks = torch.randint(0, task.out_channels, (6, 4, 4), generator=torch.Generator().manual_seed(0))
    classes = blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)
    data = Batch(data.keys, data.images, {**data.targets, task.name: classes}, data.valid)
    channels = objective.channels
    directions = torch.randn(task.out_channels, channels, generator=torch.Generator().manual_seed(1))
    features = directions[blocks].movedim(-1, 1)
    predictions = network(data.images).predictions
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        _, losses = objective.fit_mapping(features, data, [])
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    pairs = [Pair(image, 1, 0) for image in range(6)]
    with torch.no_grad():
        maps = objective.map_sides(predictions, data, [Side.label(pair) for pair in pairs])
    wanted = centered(features)
    constant = F.normalize(wanted, dim=1).mean(0, keepdim=True).expand_as(wanted)
    assert cosine_distance(maps, wanted).mean() < 0.5 * cosine_distance(constant, wanted).mean()
    assert cosine_distance(maps, maps.roll(1, 0)).mean() > 0.2


def test_fixed_gives_back_what_was_learned_before_and_nothing_else() -> None:
    _, objective = make()
    first, *others = objective.mapping.parameters()
    first.requires_grad_(False)
    with fixed(objective.mapping):
        assert not any(parameter.requires_grad for parameter in others)
    assert not first.requires_grad
    assert all(parameter.requires_grad for parameter in others)
