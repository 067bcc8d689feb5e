"""Normals of predicted depth against labelled and predicted ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from builders import batch, make_objective, tasks
from mtpsl.camera import Intrinsics
from mtpsl.data.relations.depth_normals import normals_from_depth as of_data_sets
from mtpsl.networks import SegNet
from mtpsl.objectives import RelationOptions, Supervised
from mtpsl.objectives.known_relations import NormalsOfDepth
from mtpsl.objectives.known_relations.planes import normals_from_depth
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Depth, Normals

CAMERA = Intrinsics(30.0, 40.0, 14.0, 11.0)
LABELS = [("segmentation",), ("normals",), ("depth", "normals"), ("depth",), ()]
TERM = "depth=>normals"


def slope(normal: Tensor, size: tuple[int, int] = (24, 32)) -> Tensor:
    """Inverse depth of a plane whose normal (right, down, forward) points away from the camera."""
    v, u = torch.meshgrid(torch.arange(float(size[0])), torch.arange(float(size[1])), indexing="ij")
    rays = torch.stack(((u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, torch.ones_like(u)))
    return torch.einsum("i,ihw->hw", normal, rays)[None, None] / 2


def cameras(count: int) -> Tensor:
    return torch.tensor(CAMERA.matrix()).expand(count, 3, 3)


def one(normal: Tensor, size: tuple[int, int] = (24, 32), labelled: bool = True) -> Batch:
    """An image that shows a plane with one label of normals everywhere."""
    label = F.normalize(normal, dim=0).view(1, 3, 1, 1).expand(1, 3, *size)
    seen = torch.full((1, *size), labelled)
    targets = {"depth": torch.ones(1, 1, *size), "normals": label}
    return Batch(("a",), torch.zeros(1, 3, *size), targets, {"depth": ~seen, "normals": seen}, cameras=cameras(1))


def relation(**options: object) -> NormalsOfDepth:
    return NormalsOfDepth(Depth(), Normals(**options), RelationOptions())  # type: ignore[arg-type]


def test_the_loss_by_hand() -> None:
    # The plane n = (0.6, 0, 0.8) (right, down, forward) faces the viewer along (-0.6, 0, 0.8): x right, y up, z back
    predictions = {"depth": 1 / slope(torch.tensor([0.6, 0.0, 0.8])), "normals": torch.zeros(1, 3, 24, 32)}
    for label, loss in [((-0.6, 0.0, 0.8), 0.0), ((0.0, 0.0, 1.0), 0.2), ((0.6, 0.0, 0.8), 1 - (0.64 - 0.36))]:
        found = relation().losses(predictions, one(torch.tensor(label)))
        assert found.tolist() == pytest.approx([loss], abs=1e-5)
    tall = {**predictions, "depth": 1 / slope(torch.tensor([0.0, 0.6, 0.8]))}  # what lies lower is nearer: a floor
    assert relation().losses(tall, one(torch.tensor([0.0, 0.6, 0.8]))).item() == pytest.approx(0, abs=1e-5)
    down = relation(y_axis="down").losses(tall, one(torch.tensor([0.0, -0.6, 0.8])))
    assert down.item() == pytest.approx(0, abs=1e-5)


def test_inverse_depth_and_any_unit_give_the_same() -> None:
    inverse = slope(torch.tensor([0.3, 0.4, 0.85]))
    data, own = one(torch.tensor([0.0, 0.0, 1.0])), torch.zeros(1, 3, 24, 32)
    first = relation().losses({"depth": 1 / inverse, "normals": own}, data)
    second = relation().losses({"depth": 1000 / inverse, "normals": own}, data)
    third = NormalsOfDepth(Depth(inverse=True), Normals(), RelationOptions())
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(first, third.losses({"depth": inverse, "normals": own}, data))


def test_planes_are_those_that_data_sets_derive_normals_with() -> None:
    random = torch.Generator().manual_seed(0)
    depth = torch.where(torch.arange(32) < 17, 1 / slope(torch.tensor([0.3, 0.2, 0.9])), torch.tensor(5.0))
    depth = depth + 0.002 * torch.randn(depth.shape, generator=random)
    expected, known = of_data_sets(depth[0, 0].double().numpy(), depth[0, 0].numpy() > 0, CAMERA, 2, 0.02)
    found, fits = normals_from_depth(1 / depth, cameras(1), 0.02)
    same = torch.from_numpy(known)
    assert (fits[0] == same).float().mean() > 0.99
    both = fits[0] & same
    cosine = (F.normalize(found, dim=1)[0].permute(1, 2, 0) * torch.from_numpy(expected)).sum(-1)
    assert both.float().mean() > 0.9
    assert torch.rad2deg(cosine[both].clamp(-1, 1).acos()).quantile(0.99) < 0.5


def test_where_no_plane_fits_nothing_counts() -> None:
    depth = torch.rand((1, 1, 24, 32), generator=torch.Generator().manual_seed(0)) * 5 + 1
    found = relation().losses({"depth": depth, "normals": torch.zeros(1, 3, 24, 32)}, one(torch.tensor([1.0, 0, 0])))
    assert found.item() == 0
    behind = {"depth": torch.full((1, 1, 24, 32), -1.0, requires_grad=True), "normals": torch.zeros(1, 3, 24, 32)}
    loss = relation().losses(behind, one(torch.tensor([1.0, 0.0, 0.0]))).sum()
    (gradient,) = torch.autograd.grad(loss, behind["depth"])
    assert loss.item() == 0
    assert not gradient.any()


def run(data: Batch) -> tuple[Losses, SegNet]:
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in tasks()}, width=0.05)
    weight, bias = list(network.heads["depth"].parameters())[-2:]
    with torch.no_grad():  # nearly flat, as what was learned is and what was drawn is not
        weight.mul_(0.02)
        bias.fill_(2.0)
    options = {"relations.weight": 1.0, "relations.ramp": 0.0}
    losses = make_objective(Supervised, tasks(), network, **options)(network, data)
    return losses, network


def test_the_gradient_reaches_the_depth_alone_with_and_without_a_label_of_normals() -> None:
    for names in (("normals",), ("segmentation",)):
        losses, network = run(replace(batch([names] * 2, (32, 64)), cameras=cameras(2)))
        assert losses.auxiliary[TERM] > 0
        losses.auxiliary[TERM].backward()
        for task, head in network.heads.items():
            touched = any(p.grad is not None and bool(p.grad.any()) for p in head.parameters())
            assert touched == (task == "depth"), task


def test_images_without_camera_or_without_any_label_do_not_count() -> None:
    data = batch(LABELS, (32, 64))
    predictions = {"depth": 1 / slope(torch.tensor([0.2, 0.1, 0.95]), (32, 64)).expand(5, 1, 32, 64)}
    predictions["normals"] = torch.randn((5, 3, 32, 64), generator=torch.Generator().manual_seed(0))
    some = cameras(5) * torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0]).view(5, 1, 1)
    found = relation().losses(predictions, replace(data, cameras=some))
    assert [bool(x) for x in found] == [True, False, True, True, False]
    assert not relation().losses(predictions, data).any()


def test_hidden_labels_do_not_reach_it() -> None:
    data = replace(batch(LABELS, (32, 64)), cameras=cameras(5))
    spoiled = {}
    for task, target in data.targets.items():
        hidden = ~data.valid[task] if target.ndim == 3 else (~data.valid[task])[:, None].expand_as(target)
        spoiled[task] = target.masked_fill(hidden, 3 if task == "segmentation" else float("nan"))
    results = []
    for seen in (data, replace(data, targets=spoiled)):
        losses, network = run(seen)
        losses.total().backward()
        results.append([*losses.auxiliary.values(), *(p.grad for p in network.parameters() if p.grad is not None)])
    assert results[0][0] > 0
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_depth_turns_until_it_has_the_labelled_normals() -> None:
    data = one(torch.tensor([-0.3, 0.2, 0.9]))
    depth = torch.full((1, 1, 24, 32), 2.0).requires_grad_()
    optimizer = torch.optim.Adam([depth], lr=0.01)
    before = None
    for _ in range(150):
        optimizer.zero_grad()
        loss = relation().losses({"depth": depth, "normals": torch.zeros(1, 3, 24, 32)}, data).sum()
        before = before or loss.item()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 * before


def test_mixed_precision_computes_it_in_float32() -> None:
    predictions = {"depth": 1 / slope(torch.tensor([0.6, 0.0, 0.8])), "normals": torch.zeros(1, 3, 24, 32)}
    data = one(torch.tensor([-0.6, 0.0, 0.8]))
    with torch.autocast("cpu", torch.bfloat16):
        assert relation().losses(predictions, data).item() == pytest.approx(0, abs=1e-5)
