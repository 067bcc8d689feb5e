"""The step with two views, against the formula written out for one image and one pair of tasks at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from builders import batch, make_objective, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency
from mtpsl.structures import Batch, Output
from mtpsl.tasks import Task

LABELS = [("segmentation",), ("depth", "normals"), ("normals",), ()]
CORNER = (8, 16)
"""Top and left of the second crop, which is half as high and wide as the image."""


def half(x: Tensor) -> Tensor:
    """The second view: a crop of half the size, each pixel four times."""
    top, left = CORNER
    height, width = x.shape[-2] // 2, x.shape[-1] // 2
    return x[..., top : top + height, left : left + width].repeat_interleave(2, -2).repeat_interleave(2, -1)


def second_view(seen: Batch) -> Batch:
    targets = {name: half(x) / (2 if name == "depth" else 1) for name, x in seen.targets.items()}
    targets["segmentation"] = targets["segmentation"].long()
    return Batch(seen.keys, half(seen.images), targets, {name: half(x) for name, x in seen.valid.items()})


def distance(a: Tensor, b: Tensor) -> Tensor:
    """One minus the cosine over channels, pixel by pixel."""
    values = []
    for row in range(a.shape[2]):
        for column in range(a.shape[3]):
            u, v = a[0, :, row, column], b[0, :, row, column]
            values.append(1 - (u * v).sum() / (u.norm() * v.norm()).clamp(min=1e-8))
    return torch.stack(values).mean()


def make(**options: object) -> tuple[list[Task], SegNet, CrossTaskConsistency]:
    torch.manual_seed(0)
    some = tasks()
    some[0].encode_prediction = lambda prediction: prediction.softmax(1)  # type: ignore[method-assign]  # no sampling
    network = SegNet({task.name: task.out_channels for task in some}, width=0.125)
    objective = make_objective(CrossTaskConsistency, some, network, width=0.125, **options)
    for parameter in objective.mapping.conditioning():  # which is the identity at first
        torch.nn.init.normal_(parameter, 1.0, 0.5)
    return some, network, objective


def written_out(
    some: list[Task], objective: CrossTaskConsistency, seen: Batch, view: Batch, outputs: tuple[Output, Output]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Eq. 1 on the first view and the second term of Eq. 4 on the second, for four images of which one has no label."""
    first, second = outputs
    supervised = {task.name: torch.zeros(()) for task in some}
    terms = {f"{s.name}->{t.name}": torch.zeros(()) for s in some for t in some if s is not t}
    pairs = [(s, t) for s in range(3) for t in range(3) if s != t]
    for n, names in enumerate(LABELS):
        one = slice(n, n + 1)
        for task in some:
            if task.name in names:
                name = task.name
                loss = task.loss(first.predictions[name][one], seen.targets[name][one], seen.valid[name][one])
                supervised[name] = supervised[name] + loss[0] / len(names) / 3
        for pair, (s, t) in enumerate(pairs):
            source, target = some[s], some[t]
            if source.name in names or target.name not in names:
                continue
            column = torch.tensor([pair])
            encoded = source.encode_prediction(second.predictions[source.name][one])
            a = objective.mapping(objective.mapping.stem(encoded, s), column)
            label = target.encode_target(view.targets[target.name][one], view.valid[target.name][one])
            b = objective.mapping(objective.mapping.stem(label, t), column)
            f = second.features[-1][one].detach()
            value = distance(a, b) + 0.5 * (distance(a, f) + distance(b, f))
            name = f"{source.name}->{target.name}"
            terms[name] = terms[name] + 2 * value / (3 - len(names)) / 3
    return supervised, terms


def test_the_step_is_the_formula_for_one_image_and_pair_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    some, network, objective = make(weight=2.0)
    network.eval()  # with the statistics of a batch, images would see each other
    seen = batch(LABELS, (64, 64))
    view = second_view(seen)
    monkeypatch.setattr(objective, "second_view", second_view)
    losses = objective(network, seen)
    supervised, terms = written_out(some, objective, seen, view, (network(seen.images), network(view.images)))
    parameters = [*network.parameters(), *objective.parameters()]
    found = torch.autograd.grad(losses.total(), parameters, allow_unused=True)
    total = torch.stack([*supervised.values(), *terms.values()]).sum()
    wanted = torch.autograd.grad(total, parameters, allow_unused=True)
    torch.testing.assert_close(losses.tasks, supervised)
    torch.testing.assert_close(losses.auxiliary, terms)
    assert sum(term > 0 for term in terms.values()) == 5
    assert [x is None for x in found] == [x is None for x in wanted]
    one, other = (
        torch.cat([x.flatten() for x in some_gradients if x is not None]) for some_gradients in (found, wanted)
    )
    assert (one - other).norm() < 1e-4 * other.norm()


def test_both_views_are_one_batch_to_the_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    some, network, objective = make(weight=2.0)
    seen = batch(LABELS, (64, 64))
    view = second_view(seen)
    monkeypatch.setattr(objective, "second_view", second_view)
    losses = objective(network, seen)
    output = network(torch.cat([seen.images, view.images]))
    outputs = [
        Output({name: x[part] for name, x in output.predictions.items()}, [x[part] for x in output.features])
        for part in (slice(0, 4), slice(4, 8))
    ]
    supervised, terms = written_out(some, objective, seen, view, (outputs[0], outputs[1]))
    torch.testing.assert_close(losses.tasks, supervised)
    torch.testing.assert_close(losses.auxiliary, terms)


def test_the_second_view_is_another_crop_of_the_same_images() -> None:
    _, network, objective = make()
    images: list[Tensor] = []
    network.register_forward_pre_hook(lambda module, inputs: images.append(inputs[0]))
    seen = batch([("segmentation",)] * 8, (32, 32))
    torch.manual_seed(0)
    objective(network, seen)
    (given,) = images
    assert torch.equal(given[:8], seen.images)
    changed = [not torch.equal(one, other) for one, other in zip(given[:8], given[8:], strict=True)]
    assert 2 < sum(changed) < 8  # a third of the scales is 1
