"""The tables of options: one line says what an option changes, and a test holds it to that and to nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

Observe = Callable[[Sequence[str]], dict[str, Any]]
"""From the words of a command line to what can be seen of a run."""


@dataclass(frozen=True)
class Line:
    """How an option is tested.

    Args:
        value: a value that is not the default.
        changes: the names of the observations that differ between the default and this value; all others stay.
        default: given in place of leaving the option out, where there is no default or one that shows nothing.
        beside: words that stand beside it on both sides.
    """

    value: str
    changes: set[str]
    default: str | None = None
    beside: str = ""


def check(option: str, line: Line | None, observe: Observe, table: str) -> None:
    """The option changes what its line says."""
    if line is None:
        pytest.fail(f"no test says what --{option} changes: add a line for it to {table}")
    beside = line.beside.split()
    before = observe([*beside, *([] if line.default is None else [f"--{option}", line.default])])
    after = observe([*beside, f"--{option}", line.value])
    assert before.keys() == after.keys()
    changed = {name for name in before if not same(before[name], after[name])}
    assert changed == line.changes, (
        f"--{option} {line.value} changes {sorted(changed)}: see {table}, or add a line for this choice"
    )


def check_no_other(lines: Iterable[str], options: Iterable[str], table: str) -> None:
    """Every line belongs to an option."""
    left = sorted(set(lines) - set(options))
    assert not left, f"{table} has lines for options that do not exist: {', '.join(left)}"


def same(one: Any, other: Any) -> bool:
    """Whether two observations are equal, to the rounding of float32."""
    if isinstance(one, Tensor):
        return one.shape == other.shape and torch.allclose(one, other, rtol=1e-5, atol=1e-7, equal_nan=True)
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return one == pytest.approx(other, rel=1e-6, abs=1e-9)
    return bool(one == other)
