from __future__ import annotations

import os
import sys

import pytest

from mtpsl.tasks.processes import starmap

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not fork")
PARENT = os.getpid()


def describe(a: int, b: str) -> tuple[int, str, int]:
    return a, b, os.getpid()


@pytest.mark.parametrize("count", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("processes", [1, 2, 3, 20])
def test_results_come_in_order(count: int, processes: int) -> None:
    items = [(number, chr(97 + number)) for number in range(count)]
    assert [result[:2] for result in starmap(describe, items, processes)] == items


@linux
def test_every_process_takes_a_share() -> None:
    pids = [pid for _, _, pid in starmap(describe, [(number, "") for number in range(7)], 3)]
    assert pids[0] == os.getpid()
    assert len(set(pids[:3])) == 3
    assert pids[3:6] == pids[:3]


@linux
def test_large_results_do_not_block() -> None:
    results = starmap(bytes, [(10_000_000,), (10_000_001,), (10_000_002,)], 3)
    assert [len(result) for result in results] == [10_000_000, 10_000_001, 10_000_002]


def die_in_a_child(number: int) -> int:
    if os.getpid() != PARENT:
        os._exit(1)
    return number


@linux
def test_the_share_of_a_dead_child_is_not_lost() -> None:
    global PARENT
    PARENT = os.getpid()
    assert starmap(die_in_a_child, [(number,) for number in range(5)], 2) == [0, 1, 2, 3, 4]


def fail(number: int) -> int:
    raise ArithmeticError(f"number {number}")


def test_errors_reach_the_caller(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArithmeticError, match="number 0"):
        starmap(fail, [(0,), (1,)], 2)
