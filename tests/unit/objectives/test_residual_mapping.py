"""The mapping made of ResNet's blocks."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from builders import LABELS, batch, make_objective, tasks
from mtpsl.networks import ResNetASPP
from mtpsl.objectives import OBJECTIVES, ResidualMapping

TASKS = (5, 1, 3)


def mapping(stride: int = 8, **options: object) -> ResidualMapping:
    torch.manual_seed(0)
    return ResidualMapping(TASKS, 24, **{"stride": stride, "width": 0.125, **options})


def randomize(module: nn.Module) -> None:
    """Norms and FiLM that do something."""
    for name, parameter in module.named_parameters():
        if parameter.ndim < 4:
            nn.init.normal_(parameter, 1.0 if name.endswith(("gamma", "weight")) else 0.0, 0.3)


@pytest.mark.parametrize(
    ("stride", "mapping_stride"), [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (32, 1), (8, 2), (32, 2)]
)
def test_results_have_the_size_of_the_networks_features(stride: int, mapping_stride: int) -> None:
    one = mapping(stride, mapping_stride=mapping_stride)
    stems = one.stem(torch.rand(2, 3, 32, 96), 2)
    assert one(stems, torch.tensor([0, 5])).shape == (2, 24, 32 // stride, 96 // stride)


def test_a_single_pixel_is_normalized_to_its_shift() -> None:
    assert mapping(32)(torch.rand(2, 8, 1, 1), torch.tensor([0, 5])).isfinite().all()


def test_a_stride_that_cannot_be_reached_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stride should be a power of two up to 32 .* not 14 and 1"):
        mapping(14)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_blocks_are_those_of_resnet18_in_training_on_one_image(stride: int) -> None:
    """Behind the input layer and the pooling; timm's dilated ResNet is the oracle."""
    torch.manual_seed(0)
    oracle = timm.create_model("resnet18", pretrained=False, output_stride=stride).train()
    ours = ResidualMapping(TASKS, 512, stride=stride, conditional=False)
    randomize(oracle)
    theirs = [block for stage in (oracle.layer1, oracle.layer2, oracle.layer3, oracle.layer4) for block in stage]
    for mine, block in zip(ours.blocks, theirs, strict=True):
        for place in ("1", "2"):
            getattr(mine, f"conv{place}").load_state_dict(getattr(block, f"conv{place}").state_dict())
            copy_norm(getattr(block, f"bn{place}"), getattr(mine, f"norm{place}"))
        assert (mine.shortcut is None) == (block.downsample is None)
        if block.downsample is not None:
            mine.shortcut.load_state_dict(block.downsample[0].state_dict())
            copy_norm(block.downsample[1], mine.shortcut_norm)
    x = torch.rand(1, 64, 24, 40)
    with torch.no_grad():
        expected = oracle.layer4(oracle.layer3(oracle.layer2(oracle.layer1(x))))
        found = ours(x, torch.tensor([0]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def copy_norm(source: nn.BatchNorm2d, norm: nn.Module) -> None:
    norm.load_state_dict({"weight": source.weight, "bias": source.bias})


def test_rows_do_not_see_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    one = mapping().double()
    randomize(one)
    stems = torch.cat([one.stem(torch.rand(2, channels, 32, 32).double(), task) for task, channels in enumerate(TASKS)])
    rows, pairs = torch.tensor([0, 5, 3, 3]), torch.tensor([0, 5, 2, 3])
    together = one(stems[rows], pairs)
    monkeypatch.setattr("mtpsl.objectives.mapping.base.CPU_ELEMENTS", stems[0].numel())  # two at a time, in parts
    torch.testing.assert_close(one(stems[rows], pairs), together)
    alone = torch.cat([one(stems[row : row + 1], pairs[i : i + 1]) for i, row in enumerate(rows)])
    torch.testing.assert_close(together, alone)
    assert not torch.allclose(together[2], together[3])  # one row in the spaces of two pairs


def test_film_follows_every_norm_and_is_the_pairs_own() -> None:
    one = mapping()
    film = [(name, p) for name, p in one.named_parameters() if name.endswith(("gamma", "beta"))]
    assert len(film) == 2 * 19  # two norms in each of eight blocks, three shortcuts
    assert {id(p) for _, p in film} == {id(p) for p in one.conditioning()}
    assert len(one.conditioning()) + len(one.backbone()) == len(list(one.parameters()))
    randomize(one)
    stems, pairs = one.stem(torch.rand(2, 1, 64, 64), 1), torch.tensor([1, 4])
    with torch.no_grad():
        before = one(stems, pairs)
        for name, parameter in film:
            changed = parameter[1].clone()
            parameter[1] += torch.linspace(0.5, 2, parameter.shape[1])
            after = one(stems, pairs)
            assert not torch.allclose(after[0], before[0]), name
            torch.testing.assert_close(after[1], before[1])
            parameter[1] = changed


@pytest.mark.parametrize("name", ["cross_task", "contrastive", "discriminator"])
def test_objectives_map_with_it(name: str) -> None:
    torch.manual_seed(0)
    some = tasks()
    network = ResNetASPP({task.name: task.out_channels for task in some}, encoder="test_resnet", head_channels=8)
    objective = make_objective(OBJECTIVES[name], some, network, network="resnet18", width=0.125)
    assert isinstance(objective.mapping, ResidualMapping)
    losses = objective(network, batch(LABELS["one label each"], (32, 32)))
    losses.total().backward()
    assert torch.isfinite(losses.total())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.mapping.parameters())
