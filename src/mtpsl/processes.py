"""The same numbers in every process."""

from __future__ import annotations

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, distributed

from mtpsl.launched import launched_first


def is_distributed() -> bool:
    """Whether this is one of several training processes."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def is_main_process() -> bool:
    """Whether this is the first of all training processes, also before they have found each other."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank() == 0
    return launched_first()


def sum_over_processes(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The sum of every process' `x`, written into it."""
    if is_distributed():
        distributed.all_reduce(x)
    return x


def mean_over_processes(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The mean of every process' `x`, written into it."""
    if is_distributed():
        sum_over_processes(x).div_(distributed.get_world_size())
    return x


def any_process(flags: Bool[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
    """True where it is true in any process."""
    if not is_distributed():
        return flags
    return sum_over_processes(flags.float()) > 0  # not every backend reduces bool


def gather_from_processes(thing: Any) -> list[Any]:
    """Every process' `thing`, in their order."""
    if not is_distributed():
        return [thing]
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, thing)
    return found


def copy_from_first_process(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The first process' `x`, written into every other's."""
    if is_distributed():
        distributed.broadcast(x, 0)
    return x
