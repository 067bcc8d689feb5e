"""Stored numbers that stand for classes, several for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mtpsl.data.formats.classes import SegmentationFormat
from mtpsl.errors import UserError

PATH = Path("ids.png")


def table(**options: object) -> SegmentationFormat:
    return SegmentationFormat(**{"classes": ["road", "car"], "ignore": [0, 255], "values": [7, [26, 300]], **options})


@pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.float64])
def test_numbers_become_their_class_and_ignored_ones_are_not_valid(dtype):
    target, valid = table().decode(np.array([[7, 26, 300], [0, 255, 7]], dtype), PATH)
    assert target.tolist() == [[0, 1, 1], [0, 0, 0]]
    assert valid.tolist() == [[True, True, True], [False, False, True]]


@pytest.mark.parametrize("number", [-1, 1, 8, 299, 301, 65535])
def test_a_number_without_a_meaning_is_refused(number):
    with pytest.raises(
        UserError, match=rf"ids.png: class index {number} at 2 pixels, but `values` is \[7, \[26, 300\]\]"
    ):
        table().decode(np.array([[7, number, number]], np.int64), PATH)


def test_negative_numbers_can_be_ignored():
    target, valid = table(ignore=-1).decode(np.array([[-1, 26]], np.int8), PATH)
    assert (target.tolist(), valid.tolist()) == ([[0, 1]], [[False, True]])


def test_of_many_classes_an_error_says_the_range_of_their_numbers():
    many = table(classes=20, values=[*range(1, 21)])
    with pytest.raises(UserError, match=r"class index 30 at 1 pixel, but `values` has numbers from 1 to 20"):
        many.decode(np.array([[7, 30]], np.int64), PATH)
