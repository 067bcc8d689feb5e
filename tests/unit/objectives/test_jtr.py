"""Joint-task regularization: the stacks, both terms by hand, and where gradients go."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from builders import batch, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import JointTaskRegularization
from mtpsl.objectives.jtr import rebuilding_error
from mtpsl.structures import Batch, Output
from mtpsl.tasks import Depth, Normals

WIDTH = 0.01
SIZE = (32, 32)


class Transparent(nn.Module):
    """An auto-encoder whose latent is its input and which rebuilds zeros."""

    stride = 1

    def encode(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        return [x], []

    def forward(self, x: Tensor) -> Output:
        return Output({"joint": torch.zeros_like(x)}, [])


def two_tasks(labels: list[tuple[str, ...]], holes: bool = True) -> Batch:
    data = batch(labels, SIZE, holes)
    names = ("depth", "normals")
    return Batch(data.keys, data.images, {n: data.targets[n] for n in names}, {n: data.valid[n] for n in names})


def constant(*values: float, count: int) -> Tensor:
    return torch.tensor(values).view(1, -1, 1, 1).expand(count, -1, *SIZE).clone()


def make(**options: object) -> tuple[SegNet, JointTaskRegularization]:
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in tasks()}, width=WIDTH)
    return network, JointTaskRegularization(tasks(), network, mapping_width=WIDTH, **options)  # type: ignore[arg-type]


def test_both_terms_by_hand() -> None:
    objective = JointTaskRegularization([Depth(), Normals()], nn.Identity(), mapping_width=WIDTH)
    objective.mapping = Transparent()  # type: ignore[assignment]
    data = two_tasks([("normals",), (), ("depth",)], holes=False)
    data.targets["normals"][:] = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    data.targets["depth"][:] = 7.0
    predictions = {"depth": constant(3.0, count=3), "normals": constant(0.0, 0.0, 5.0, count=3)}
    terms = objective.regularization(predictions, data)
    # Encoded: depth 1 (over its maximum), normals (1/2, 1/2, 1), their label (1, 1/2, 1/2). Image 0: the stacks
    # (1, 1/2, 1/2, 1) and (1, 1, 1/2, 1/2) have the cosine 2.25 / 2.5; image 2: depth 1 in both; image 1 has no label.
    assert terms["joint/distance"].item() == pytest.approx(4 * (1 - 2.25 / 2.5) / 2)
    # Rebuilding zeros: depth 1, normals (1/4 + 1/4 + 1) / 3, in all stacks
    assert terms["joint/reconstruction"].item() == pytest.approx(2 * (1 + 1.5 / 3))


def test_labels_replace_predictions_where_valid() -> None:
    _, objective = make()
    data = batch([("depth",), ("segmentation", "normals")], SIZE)
    predictions = {task.name: torch.randn(2, task.out_channels, *SIZE) for task in tasks()}
    without, having = objective.stacks(predictions, data)
    assert without.shape == (2, 5 + 1 + 3, *SIZE)
    different = (without != having).movedim(1, -1)
    for name, channels in {"segmentation": slice(0, 5), "depth": slice(5, 6), "normals": slice(6, 9)}.items():
        changed = different[..., channels].any(-1)
        assert not changed[~data.valid[name]].any()
        share = changed[data.valid[name]].float().mean()
        assert share > 0.7  # a sampled class is the label now and then
    here = data.valid["normals"][1]
    torch.testing.assert_close(having[1, 6:][:, here], (data.targets["normals"][1][:, here] + 1) / 2)


def test_predictions_equal_to_labels_have_no_distance() -> None:
    objective = JointTaskRegularization([Depth(), Normals()], nn.Identity(), mapping_width=WIDTH)
    data = two_tasks([("normals",), ("depth", "normals")], holes=False)
    assert objective.regularization(data.targets, data)["joint/distance"] < 1e-6
    off = {name: -target for name, target in data.targets.items()}
    assert objective.regularization({**data.targets, "normals": off["normals"]}, data)["joint/distance"] > 1e-3


def test_reconstruction_counts_every_task_once() -> None:
    stack = torch.zeros(2, 4, 1, 2)
    stack[0, 0] = 2.0  # depth: 4
    stack[1, 1, 0, 0] = 3.0  # one of three channels at one of two pixels: 9 / 6
    assert rebuilding_error(torch.zeros_like(stack), stack, [1, 3]).tolist() == [4.0, 1.5]


def nonzero(module: nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


def test_the_distance_trains_network_and_encoder_the_reconstruction_the_auto_encoder() -> None:
    data = batch([("depth",), ("segmentation",)], SIZE)
    network, objective = make()
    losses = objective(network, data).auxiliary
    losses["joint/distance"].backward(retain_graph=True)
    assert all(nonzero(head) for head in network.heads.values())
    assert nonzero(objective.mapping.encoder)
    assert not nonzero(objective.mapping.decoder)
    assert not nonzero(objective.mapping.heads)
    network.zero_grad()
    objective.zero_grad()
    losses["joint/reconstruction"].backward()
    assert not nonzero(network)
    assert all(nonzero(part) for part in objective.mapping.children())


def test_labelled_tasks_can_be_left_to_their_labels() -> None:
    network, objective = make(detach_labelled=True)
    objective(network, batch([("depth",), ("depth",)], SIZE)).auxiliary["joint/distance"].backward()
    assert not nonzero(network.heads["depth"])
    assert nonzero(network.heads["normals"])


def test_its_size_hardly_grows_with_the_number_of_tasks() -> None:
    some = tasks(edges=True)
    sizes = [
        sum(p.numel() for p in JointTaskRegularization(some[:count], nn.Identity(), mapping_width=0.5).parameters())
        for count in (2, 3, 4)
    ]
    growth = [sizes[1] - sizes[0], sizes[2] - sizes[1]]
    assert growth == [3 * (9 * 32 + 32 + 1), 1 * (9 * 32 + 32 + 1)]  # per channel: first and last layer


def test_wrong_options_are_refused() -> None:
    for options, message in [({"reconstruction": -1.0}, "reconstruction"), ({"mapping_width": 0.0}, "mapping_width")]:
        with pytest.raises(ValueError, match=message):
            JointTaskRegularization(tasks(), nn.Identity(), **options)
