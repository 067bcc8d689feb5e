"""Two processes train what one with the double batch does, whatever the weighting and the objective."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import multiprocessing
from two_objectives import CASES, gradients, process
from two_processes import CHOSEN, Tiny, sums, train


@pytest.fixture(scope="module")
def folder_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    multiprocessing.start_processes(process, (str(folder),), nprocs=2, start_method="spawn")
    return folder


@pytest.fixture(scope="module")
def of_two(folder_of_two: Path) -> list[dict[str, Any]]:
    return [torch.load(folder_of_two / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", CHOSEN)
def test_two_processes_train_what_one_does_with_the_double_batch(name: str, of_two: list[dict[str, Any]]) -> None:
    start, wanted = [*Tiny().parameters()], train(name, slice(0, 4))
    for first, second, one in zip(of_two[0][name], of_two[1][name], wanted, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(first, one, rtol=1e-5, atol=1e-5, equal_nan=True)
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(start, wanted, strict=False))


@pytest.mark.parametrize("case", CASES)
def test_two_processes_have_the_gradients_of_one_with_every_objective(case: str, of_two: list[dict[str, Any]]) -> None:
    wanted = gradients(case, slice(0, 4))
    first, second = (trained[case] for trained in of_two)
    assert torch.equal(first, second)
    assert wanted.norm() > 0.1
    assert (first - wanted).norm() < 1e-3 * wanted.norm()


@pytest.mark.parametrize("case", [case for case in CASES if case.endswith("relations")])
def test_known_relations_are_most_of_the_gradients_compared_above(case: str) -> None:
    rows = slice(0, 4)
    with_them, without = gradients(case, rows), gradients(case, rows, **{"relations.weight": 0.0})
    assert (with_them - without).norm() > 0.5 * without.norm()
    late = gradients(case, rows, **{"relations.ramp": 0.5})  # half of the training is done
    torch.testing.assert_close(late - without, 2 * (with_them - without), rtol=1e-3, atol=1e-4)


def test_what_an_objective_measures_counts_the_images_of_all_processes(folder_of_two: Path) -> None:
    first, second = (torch.load(folder_of_two / f"sums{rank}.pt") for rank in range(2))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, equal_nan=True)
    one = sums(slice(0, 4))
    torch.testing.assert_close(first["factors"], one["factors"], rtol=1e-4, atol=0)
    torch.testing.assert_close(first["gain"], one["gain"], rtol=1e-4, atol=1e-5, equal_nan=True)
    assert (first["relations.mismatched"] > 0).sum() == 2  # each of the two pairs was seen in one process only
