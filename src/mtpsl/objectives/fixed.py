"""A module through which gradients pass without teaching it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def fixed(module: nn.Module) -> Iterator[None]:
    """Inside the block, gradients pass through a module and reach none of its parameters."""
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)


def call_fixed(module: nn.Module, *arguments: Tensor) -> Tensor:
    """What a module makes of its arguments, `fixed`."""
    with fixed(module):
        result: Tensor = module(*arguments)
    return result
