"""Lines that were hit, missed or falsely found."""

from __future__ import annotations

import numpy as np

from mtpsl.tasks.edge_errors import FALSE, HIT, MISSED, NOTHING, edge_errors

SIZE = (20, 30)


def kinds(
    probability: np.ndarray, label: np.ndarray, mask: np.ndarray | None = None, distance: float = 1.5
) -> np.ndarray:
    seen = np.ones(SIZE, dtype=bool) if mask is None else mask
    return edge_errors(probability, label, seen, distance=distance, thresholds=9, nms=False)


def lines(*columns: int) -> np.ndarray:
    picture = np.zeros(SIZE, dtype=bool)
    picture[:, list(columns)] = True
    return picture


def test_a_line_beside_its_label_is_hit_a_far_one_false_and_a_label_alone_missed() -> None:
    found = kinds(0.9 * lines(6, 15), lines(5, 24))
    assert {*found[:, 6]} == {HIT}
    assert {*found[:, 15]} == {FALSE}
    assert {*found[:, 24]} == {MISSED}
    assert (found == NOTHING).sum() == found.size - 3 * SIZE[0]


def test_the_threshold_is_that_which_is_best_for_the_image() -> None:
    faint = 0.35 * lines(5) + 0.15 * lines(20)
    assert {*kinds(faint, lines(5)).ravel()} == {HIT, NOTHING}
    assert {*kinds(faint, lines(5, 20)).ravel()} == {HIT, NOTHING}


def test_what_is_not_valid_is_neither_and_empty_pictures_have_no_errors() -> None:
    mask = np.ones(SIZE, dtype=bool)
    mask[:, 12:] = False
    assert not kinds(0.9 * lines(5, 15), lines(5, 24), mask)[:, 12:].any()
    assert not kinds(np.zeros(SIZE), lines()).any()
    assert {*kinds(np.zeros(SIZE), lines(3)).ravel()} == {NOTHING, MISSED}
