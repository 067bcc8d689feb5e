"""Classes as dataset.yaml may give them: which names there are, and which stored numbers stand for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mtpsl.data.formats.base import integers, is_integer


def named_classes(classes: Mapping[Any, Any]) -> tuple[list[str], list[int]]:
    """Names and stored numbers of the classes, in the order of the numbers.

    Args:
        classes: a name for each number, or a number for each name.

    Raises:
        ValueError: something else, or two names for a number.

    >>> named_classes({255: "car", 0: "road"}) == named_classes({"car": 255, "road": 0}) == (["road", "car"], [0, 255])
    True
    """
    pairs = [(number, name) if is_integer(number) else (name, number) for number, name in classes.items()]
    if not all(is_integer(number) and isinstance(name, str) for number, name in pairs):
        raise ValueError(
            "`classes` should give one number to each name (quote yes, no, on), as {0: road, 1: car}, "
            f"not {dict(classes)}"
        )
    if len({number for number, _ in pairs}) < len(pairs):
        raise ValueError(f"`classes` should not give two names one number: {dict(classes)}")
    pairs.sort()
    return [name for _, name in pairs], [number for number, _ in pairs]


def stored_numbers(values: Any, num_classes: int) -> dict[int, int]:
    """The class of each stored number.

    Args:
        values: the stored number of each class, or several in a list; None for 0, 1, ...
        num_classes: how many classes there are.

    Raises:
        ValueError: something else, or a number that stands for two classes.

    >>> stored_numbers([0, [128, 255]], 2)
    {0: 0, 128: 1, 255: 1}
    """
    if values is None:
        return {index: index for index in range(num_classes)}
    if not isinstance(values, list | tuple) or len(values) != num_classes:
        raise ValueError(f"`values` should be {num_classes} stored numbers, one per class, as [0, 255], not {values}")
    table: dict[int, int] = {}
    for index, entry in enumerate(values):
        for number in integers("values", entry):
            if number in table:
                raise ValueError(f"`values` should name a number once, not {number} twice")
            table[number] = index
    return table


def numbers_by_class(table: Mapping[int, int], num_classes: int) -> list[list[int]]:
    """The stored numbers of each class, from the class of each stored number.

    >>> numbers_by_class({7: 0, 26: 1, 27: 1}, 2)
    [[7], [26, 27]]
    """
    return [[number for number, index in table.items() if index == one] for one in range(num_classes)]
