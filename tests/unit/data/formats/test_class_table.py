"""A table from stored numbers to classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mtpsl.data.formats.classes import ClassTableFormat
from mtpsl.errors import UserError

PATH = Path("ids.png")


def table(**options: object) -> ClassTableFormat:
    return ClassTableFormat(
        **{"classes": ["road", "car"], "ignore": [0, 255], "table": {7: 0, 26: 1, 300: 1}, **options}
    )


@pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.float64])
def test_numbers_become_their_class_and_ignored_ones_are_not_valid(dtype):
    target, valid = table().decode(np.array([[7, 26, 300], [0, 255, 7]], dtype), PATH)
    assert target.tolist() == [[0, 1, 1], [0, 0, 0]]
    assert valid.tolist() == [[True, True, True], [False, False, True]]


@pytest.mark.parametrize("number", [-1, 1, 8, 299, 301, 65535])
def test_a_number_without_a_meaning_is_refused(number):
    with pytest.raises(UserError, match=rf"ids.png: {number} at 2 pixels stands for no class"):
        table().decode(np.array([[7, number, number]], np.int64), PATH)


def test_negative_numbers_can_be_ignored():
    target, valid = table(ignore=-1).decode(np.array([[-1, 26]], np.int8), PATH)
    assert (target.tolist(), valid.tolist()) == ([[0, 1]], [[False, True]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": {}}, "should give a class to each stored number"),
        ({"table": {"7": 0}}, "should give a class to each stored number"),
        ({"table": {7: 2}}, "gives 7 class 2, but classes go from 0 to 1"),
        ({"ignore": [7]}, "7 should be in `table` or in `ignore`, not in both"),
    ],
)
def test_a_wrong_table_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        table(**options)
