"""Joint-task regularization: the values of its authors' code, one image at a time, and where gradients go."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal

from builders import batch, make_objective, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import JointTaskRegularization
from mtpsl.structures import Batch
from mtpsl.tasks import Depth, Normals

WIDTH = 0.01
SIZE = (64, 64)
LABELS: list[tuple[str, ...]] = [("segmentation",), ("depth", "normals"), ("normals",), ("segmentation", "depth")]
DEPTHS = Normal(2.3618, 1.5876)


def make(**options: object) -> tuple[SegNet, JointTaskRegularization]:
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in tasks()}, width=WIDTH)
    return network, make_objective(JointTaskRegularization, tasks(), network, width=WIDTH, **options)


def sharpest(logits: Tensor, tau: float = 1.0, hard: bool = False, dim: int = -1) -> Tensor:
    """In place of a random class, the most likely one, with the gradient of a softmax."""
    soft = logits.softmax(dim)
    return F.one_hot(logits.argmax(dim), logits.shape[dim]).movedim(-1, dim) - soft.detach() + soft


def random_predictions(count: int, seed: int) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    raw = {task.name: torch.randn((count, task.out_channels, *SIZE), generator=random) for task in tasks()}
    return {**raw, "depth": raw["depth"] + 2}


def one_by_one(objective: JointTaskRegularization, first: tuple, second: tuple) -> tuple[float, float]:
    """The mean distance and reconstruction of the images, by batch norms that see one stack at a time."""
    plain = SegNet({"joint": 9}, width=WIDTH, in_channels=9)
    plain.load_state_dict(objective.mapping.state_dict(), strict=False)
    totals = [0.0, 0.0]
    for i, names in enumerate(LABELS):
        latents, distances = [], []
        for (predictions, data), soft in ((first, False), (second, True)):
            logits, depth, normals = (predictions[task.name][i : i + 1] for task in tasks())
            normals = F.normalize(normals, dim=1)
            mask = torch.stack([data.valid[name][i] for name in names]).all(0)[None, None].float()
            label = {name: data.targets[name][i : i + 1] * data.valid[name][i] for name in ("depth", "normals")}
            one_hot = F.one_hot(data.targets["segmentation"][i], 5).movedim(-1, 0)[None] * data.valid["segmentation"][i]
            drawn = sharpest(logits, dim=1) * mask
            without = [logits.softmax(1) * mask if soft else drawn, DEPTHS.cdf(depth * mask), (normals * mask + 1) / 2]
            having = [drawn, *without[1:]]
            labels = [one_hot, DEPTHS.cdf(label["depth"]), (label["normals"] + 1) / 2]
            having = [y if t.name in names else x for t, x, y in zip(tasks(), having, labels, strict=True)]
            latents = [plain(torch.cat(stack, 1).float()) for stack in (having, without)]
            distances.append(1 - F.cosine_similarity(*(x.features[-1] for x in latents), dim=1).mean())
        rebuilt = [x.predictions["joint"].split([5, 1, 3], 1) for x in latents]
        known = [one_hot if "segmentation" in names else drawn]
        known += [label["depth"] if "depth" in names else depth, label["normals"] if "normals" in names else normals]
        error = torch.zeros(())
        for (a, b, c), (x, y, z) in zip(rebuilt, (known, [drawn, *without[1:]]), strict=True):
            error += (
                F.binary_cross_entropy_with_logits(a, x.float(), reduction="none") * mask
            ).sum() / x.count_nonzero()
            error += ((((b.sigmoid() - 0.5) * (1 - 1e-5) + 0.5) - DEPTHS.cdf(y)).abs() * mask).sum() / y.count_nonzero()
            error += 1 - (c / c.norm(dim=1, keepdim=True) * z * mask).sum() / z.count_nonzero()
        totals[0] += 4 * (distances[0] + 2 * distances[1]).item()
        totals[1] += 2 * error.item()
    return totals[0] / len(LABELS), totals[1] / len(LABELS)


def test_both_terms_are_those_of_the_authors_code_image_by_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "gumbel_softmax", sharpest)
    _, objective = make()
    first, second = (random_predictions(4, 1), batch(LABELS, SIZE)), (random_predictions(4, 2), batch(LABELS, SIZE))
    terms = objective.regularization(first, second)
    distance, reconstruction = one_by_one(objective, first, second)
    assert terms["joint/distance"].item() == pytest.approx(distance, rel=1e-4)
    assert terms["joint/reconstruction"].item() == pytest.approx(reconstruction, rel=1e-4)
    assert distance > 0.1


def test_the_network_sees_an_image_and_two_crops_of_it() -> None:
    data = batch(LABELS, SIZE)
    for cropped, count in ((True, 12), (False, 4)):
        network, objective = make(crops=cropped)
        seen = []
        network.register_forward_hook(lambda _, inputs, output, seen=seen: seen.append(inputs[0]))
        torch.manual_seed(0)
        objective(network, data)
        assert len(seen[0]) == count
        assert torch.equal(seen[0][:4], data.images)
    crops = objective.other_view
    torch.manual_seed(0)
    expected = torch.cat([data.images, crops(data).images, crops(data).images])
    network, objective = make()
    network.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    torch.manual_seed(0)
    objective(network, data)
    assert torch.equal(seen[-1], expected)


def test_predictions_equal_to_labels_have_no_distance() -> None:
    objective = make_objective(JointTaskRegularization, [Depth(), Normals()], nn.Identity(), width=WIDTH)
    every = batch([("normals",), ("depth", "normals")], SIZE, holes=False)
    names = ("depth", "normals")
    data = Batch(every.keys, every.images, {n: every.targets[n] for n in names}, {n: every.valid[n] for n in names})
    true = {name: x + (0 if data.labelled(name).all() else 1e-3) for name, x in data.targets.items()}
    assert objective.regularization((true, data), (true, data))["joint/distance"] < 1e-5
    off = {**true, "normals": -true["normals"]}
    assert objective.regularization((off, data), (true, data))["joint/distance"] > 1e-3
    assert objective.regularization((true, data), (off, data))["joint/distance"] > 1e-3


def nonzero(module: nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


def test_one_distance_trains_the_network_the_other_the_encoder_the_reconstruction_the_auto_encoder() -> None:
    data = batch([("depth",), ("segmentation",)], SIZE)
    network, objective = make(encoder_distance=0.0)
    objective(network, data).auxiliary["joint/distance"].backward()
    assert all(nonzero(head) for head in network.heads.values())
    assert not nonzero(objective)
    network, objective = make()
    losses = objective(network, data).auxiliary
    losses["joint/distance"].backward(retain_graph=True)
    assert nonzero(objective.mapping.encoder)
    assert not nonzero(objective.mapping.decoder)
    assert not nonzero(objective.mapping.heads)
    network.zero_grad()
    objective.zero_grad()
    losses["joint/reconstruction"].backward()
    assert not nonzero(network)
    assert all(nonzero(part) for part in objective.mapping.children())


@pytest.mark.parametrize("detached", [True, False])
def test_labelled_tasks_are_left_to_their_labels_unless_asked(detached: bool) -> None:
    network, objective = make(detach_labelled=detached)
    objective(network, batch([("depth",), ("depth",)], SIZE)).auxiliary["joint/distance"].backward()
    assert nonzero(network.heads["depth"]) != detached
    assert nonzero(network.heads["normals"])


def test_depth_enters_through_the_distribution_that_is_asked_for() -> None:
    encoding = make(depth_mean=5.0, depth_std=2.0)[1].encodings[1]
    ones = torch.ones(1, 1, 1, 1)
    wanted = Normal(5.0, 2.0).cdf(7 * ones)
    torch.testing.assert_close(encoding.prediction(7 * ones, ones, hard=True), wanted)
    torch.testing.assert_close(encoding.target(7 * ones, ones[0] > 0), wanted)


def test_its_size_hardly_grows_with_the_number_of_tasks() -> None:
    some = tasks(edges=True)
    sizes = [
        sum(
            p.numel()
            for p in make_objective(JointTaskRegularization, some[:count], nn.Identity(), width=0.5).parameters()
        )
        for count in (2, 3, 4)
    ]
    growth = [sizes[1] - sizes[0], sizes[2] - sizes[1]]
    assert growth == [3 * (9 * 32 + 32 + 1), 1 * (9 * 32 + 32 + 1)]  # per channel: first and last layer
