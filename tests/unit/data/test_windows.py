"""Images in shards: shuffled among a few shards at a time, each process its own, from any place on."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from mtpsl.data.sampler import EpochSampler
from mtpsl.data.windows import ShardWindows

SHARDS = torch.tensor([0] * 5 + [1] * 7 + [2] * 6 + [3] * 5 + [4] * 4 + [5] * 6)


def sampler(rank: int = 0, world_size: int = 1, window: int = 2, **options) -> EpochSampler:
    windows = ShardWindows(SHARDS, window)
    return EpochSampler(len(SHARDS), shuffle=True, rank=rank, world_size=world_size, windows=windows, **options)


def runs(order: list[int]) -> list[set[int]]:
    """Of each shard, the places at which the order reads it."""
    return [{place for place, index in enumerate(order) if SHARDS[index] == shard} for shard in range(6)]


def test_a_shard_is_read_within_a_window_of_few():
    order = [*sampler()]
    assert sorted(order) == [*range(len(SHARDS))]
    for begin in range(len(order)):
        open_now = sum(min(places) <= begin <= max(places) for places in runs(order))
        assert open_now <= 2


def test_images_of_a_window_are_mixed_and_epochs_differ():
    one, first, second = sampler(window=1), [*sampler()], sampler()
    second.set_epoch(1)
    changes = [sum(bool(SHARDS[a] != SHARDS[b]) for a, b in pairwise(x)) for x in ([*one], first)]
    assert changes[0] == 5
    assert changes[1] > 10
    assert [*second] != first == [*sampler()]
    together = [frozenset(SHARDS[order[:9]].tolist()) for order in (first, [*second])]
    assert together[0] != together[1]
    assert [*sampler(seed=1)] != first
    assert [*one] != sorted(one)


@pytest.mark.parametrize("world_size", [2, 3, 4, 50])
def test_processes_share_the_images_and_few_shards(world_size: int):
    shares = [[*sampler(rank, world_size)] for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    assert {index for share in shares for index in share} == {*range(len(SHARDS))}
    repeated = sum(map(len, shares)) - len(SHARDS)
    assert 0 <= repeated < world_size
    read_by = [{int(SHARDS[index]) for index in share} for share in shares]
    if world_size < 5:
        assert sum(map(len, read_by)) <= 6 + world_size  # only those at the borders are read twice


def test_two_processes_have_no_image_in_common_where_the_number_is_even():
    windows = ShardWindows(SHARDS[:32], 2)
    one, two = ({*EpochSampler(32, shuffle=True, rank=rank, world_size=2, windows=windows)} for rank in range(2))
    assert not one & two
    assert one | two == {*range(32)}


@pytest.mark.parametrize("consumed", [0, 1, 8, 16])
def test_an_epoch_goes_on_in_the_middle(consumed: int):
    whole, middle = sampler(1, 2), sampler(1, 2)
    whole.set_epoch(3)
    middle.start(3, consumed)
    assert [*middle] == [*whole][consumed:]
    assert len(middle) == len(whole)


def test_whole_batches_and_some_of_the_images():
    assert len([*sampler(0, 2, drop_last_to=5)]) == 15
    part = ShardWindows(SHARDS, 2).subset([0, 6, 20, 30])
    order = part.draw(torch.Generator().manual_seed(0), 1, 4)
    assert sorted(order[0].tolist()) == [0, 1, 2, 3]
    assert part.shard.tolist() == [0, 1, 3, 5]
    assert ShardWindows(SHARDS[:0], 2).draw(torch.Generator(), 2, 0).shape == (2, 0)
