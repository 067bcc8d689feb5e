"""What numeric options may be: one place for the ranges that many classes share."""

from __future__ import annotations

import math
from collections.abc import Sequence


def check_finite(**values: float | None) -> None:
    """Refuse what is no number, or infinite; None is no value at all.

    Raises:
        ValueError: a value is.
    """
    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name} should be a finite number, not {value}")


def check_not_negative(**values: float | None) -> None:
    """Refuse a weight, margin or the like below zero.

    Raises:
        ValueError: a value is, or is not finite.
    """
    check_finite(**values)
    for name, value in values.items():
        if value is not None and value < 0:
            raise ValueError(f"{name} should not be negative: {value}")


def check_positive(**values: float | None) -> None:
    """Refuse a width, learning rate or the like that is not above zero.

    Raises:
        ValueError: a value is not, or is not finite.
    """
    check_finite(**values)
    for name, value in values.items():
        if value is not None and value <= 0:
            raise ValueError(f"{name} should be positive, not {value}")


def check_at_least_one(**values: int | None) -> None:
    """Refuse a number of things below 1.

    Raises:
        ValueError: a value is.

    >>> check_at_least_one(max_pairs=None, epochs=0)
    Traceback (most recent call last):
    ValueError: epochs should be at least 1, not 0
    """
    for name, value in values.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} should be at least 1, not {value}")


def check_share(of: str, **values: float) -> None:
    """Refuse what is no share of `of`, from 0 to 1.

    Raises:
        ValueError: a value is not.

    >>> check_share("the training", ramp=1.5)
    Traceback (most recent call last):
    ValueError: ramp is a share of the training, from 0 to 1, not 1.5
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is a share of {of}, from 0 to 1, not {value}")


def check_choice(choices: Sequence[object], **values: object) -> None:
    """Refuse what is not one of some values.

    Raises:
        ValueError: a value is not.

    >>> check_choice(("mean", "sum"), reduction="none")
    Traceback (most recent call last):
    ValueError: reduction should be 'mean' or 'sum', not 'none'
    """
    for name, value in values.items():
        if value not in choices:
            *most, last = map(repr, choices)
            raise ValueError(f"{name} should be {', '.join(most)} or {last}, not {value!r}")


def check_seed(name: str, seed: int) -> None:
    """Refuse what a generator cannot take.

    Raises:
        ValueError: it is too large or too small.
    """
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"{name} should be a whole number of at most 63 bits, not {seed}")
