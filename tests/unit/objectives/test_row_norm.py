"""The norm of the mapping network: one formula on a CPU and on an accelerator."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mtpsl.objectives.mapping.layers import RowNorm


class Elsewhere(Tensor):
    """A tensor on the CPU that says it is on an accelerator."""

    device = property(lambda self: torch.device("cuda"))  # type: ignore[assignment]


def written_out(norm: RowNorm, x: Tensor, pairs: Tensor | None) -> Tensor:
    """Gamma * (weight * (x - mean) / sqrt(variance + eps) + bias) + beta, one map at a time."""
    rows = []
    for row in range(len(x)):
        maps = []
        for channel in range(x.shape[1]):
            values = x[row, channel]
            variance = (values - values.mean()).square().mean()
            scaled = (values - values.mean()) / (variance + 1e-5).sqrt()
            scaled = norm.weight[channel] * scaled + norm.bias[channel]
            if pairs is not None:
                scaled = norm.gamma[pairs[row], channel] * scaled + norm.beta[pairs[row], channel]
            maps.append(scaled)
        rows.append(torch.stack(maps))
    return torch.stack(rows)


@pytest.mark.parametrize("place", [Tensor, Elsewhere])
@pytest.mark.parametrize("count", [0, 6])
def test_every_map_of_a_row_is_normalized_alone(
    count: int, place: type[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "batch_norm" if place is Tensor else "group_norm"
    monkeypatch.setattr(torch, other, lambda *_: pytest.fail(f"{other} is for other devices"))
    torch.manual_seed(0)
    norm = RowNorm(4, count).double()
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(3, 4, 5, 6, dtype=torch.double) * torch.tensor([1.0, 10.0, 0.1, 3.0]).view(4, 1, 1) + 2
    pairs = torch.tensor([5, 0, 5]) if count else None
    given = x.clone().as_subclass(place).requires_grad_()
    found = norm(given, pairs).as_subclass(Tensor)
    plain = x.clone().requires_grad_()
    wanted = written_out(norm, plain, pairs)
    torch.testing.assert_close(found, wanted)
    slopes = torch.randn_like(x)
    inputs = [given, *norm.parameters()], [plain, *norm.parameters()]
    for one, two in zip(
        torch.autograd.grad((found * slopes).sum(), inputs[0]),
        torch.autograd.grad((wanted * slopes).sum(), inputs[1]),
        strict=True,
    ):
        torch.testing.assert_close(one.as_subclass(Tensor), two)
