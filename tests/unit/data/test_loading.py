"""The order of images and the loader of batches."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from torch.utils.data import Dataset

from builders import sample, tasks
from mtpsl.data import EpochSampler, make_loader
from mtpsl.errors import UserError
from mtpsl.structures import Batch, Sample

SPECS = {task.name: task.target_spec for task in tasks()}


class Images(Dataset[Sample]):
    """Small images; one may be broken, one may have another size."""

    def __init__(self, count: int = 10, broken: int = -1, odd: int = -1) -> None:
        self.count, self.broken, self.odd = count, broken, odd

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index == self.broken:
            raise UserError(f"{index}.png: cannot be read")
        return sample(str(index), (4, 6) if index != self.odd else (6, 4), seed=index)


def orders(count: int, world_size: int, epoch: int = 0, **options) -> list[list[int]]:
    samplers = [EpochSampler(count, rank=rank, world_size=world_size, **options) for rank in range(world_size)]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    assert all(len(sampler) == len([*sampler]) for sampler in samplers)
    return [[*sampler] for sampler in samplers]


def test_the_order_is_a_function_of_seed_and_epoch():
    sampler = EpochSampler(50, shuffle=True, seed=3)
    seen = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        seen.append([*sampler])
    assert sorted(seen[0]) == list(range(50))
    assert seen[0] != seen[1] != seen[2] != seen[0]
    torch.manual_seed(1)
    fresh = EpochSampler(50, shuffle=True, seed=3)
    fresh.set_epoch(2)
    assert [*fresh] == [*fresh] == seen[2]
    assert [*EpochSampler(50, shuffle=True, seed=4)] != seen[0]
    assert [*EpochSampler(5, shuffle=False)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("count", "world_size"), [(10, 2), (11, 2), (10, 3), (3, 5), (1, 2)])
def test_training_gives_every_process_equally_many_and_leaves_no_image_out(count, world_size):
    shares = orders(count, world_size, epoch=4, shuffle=True, seed=1)
    assert {len(share) for share in shares} == {-(-count // world_size)}
    assert {*chain(*shares)} == {*range(count)}


@pytest.mark.parametrize(("count", "world_size"), [(10, 2), (11, 2), (10, 3), (3, 5)])
def test_evaluation_gives_every_image_to_one_process(count, world_size):
    shares = orders(count, world_size, shuffle=False)
    assert sorted(chain(*shares)) == list(range(count))


def test_the_last_small_batch_can_be_dropped():
    assert [len(share) for share in orders(11, 2, shuffle=True, drop_last_to=4)] == [4, 4]
    with pytest.raises(UserError, match="3 images over 1 processes do not fill one batch of 4"):
        EpochSampler(3, shuffle=True, drop_last_to=4)
    loader = make_loader(Images(10), SPECS, batch_size=4, shuffle=True, drop_last=True)
    assert [len(batch) for batch in loader] == [4, 4]
    assert len(loader) == 2


def test_a_rank_outside_the_world_is_refused():
    with pytest.raises(ValueError, match="rank should be from 0 to 1, not 2"):
        EpochSampler(3, shuffle=True, rank=2, world_size=2)


def keys(loader, epoch: int) -> list[str]:
    loader.sampler.set_epoch(epoch)
    return [key for batch in loader for key in batch.keys]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_give_the_same_batches_and_leave_the_global_generator_alone():
    plain = make_loader(Images(), SPECS, batch_size=4, shuffle=True, seed=2)
    parallel = make_loader(Images(), SPECS, batch_size=4, shuffle=True, seed=2, workers=2, pin_memory=True)
    state = torch.random.get_rng_state()
    for epoch in range(2):
        assert keys(plain, epoch) == keys(parallel, epoch)
    assert keys(plain, 0) != keys(plain, 1)
    for a, b in zip(plain, parallel, strict=True):
        assert isinstance(b, Batch)
        assert torch.equal(a.images, b.images)
        assert all(torch.equal(a.targets[name], b.targets[name]) for name in SPECS)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("labelled", [None, torch.arange(21) % 5 == 0], ids=["all", "some labelled"])
@pytest.mark.parametrize("drop_last", [False, True])
def test_an_epoch_continues_in_the_middle_with_the_same_batches(workers, labelled, drop_last):
    def fresh(rank: int):
        return make_loader(
            Images(21), SPECS, batch_size=2, shuffle=True, seed=5, workers=workers, rank=rank, world_size=2,
            drop_last=drop_last, labelled=labelled,
        )  # fmt: skip

    for rank in range(2):
        whole = fresh(rank)
        epochs = []
        for epoch in (3, 4):
            whole.set_epoch(epoch)
            epochs.append([batch.keys for batch in whole])
        assert epochs[0] != epochs[1]
        for consumed in (0, 2, len(epochs[0])) if workers == 0 else (2,):
            loader = fresh(rank)
            loader.start(3, consumed)
            loader.set_epoch(3)  # what Lightning calls on the way changes nothing
            assert len(loader) == len(epochs[0])
            assert [batch.keys for batch in loader] == epochs[0][consumed:]
            getattr(loader.batch_sampler, "sampler", loader.sampler).set_epoch(4)
            assert [batch.keys for batch in loader] == epochs[1]


def test_what_is_left_of_an_epoch_alone_is_read():
    images, read = Images(9), []
    images.__class__ = type("Watched", (Images,), {"__getitem__": lambda self, i: read.append(i) or sample(str(i))})
    loader = make_loader(images, SPECS, batch_size=2, shuffle=False)
    loader.start(0, 3)
    list(loader)
    assert read == [6, 7, 8]


@pytest.mark.parametrize("labelled", [None, torch.arange(10) == 3])
def test_an_epoch_does_not_start_behind_its_end(labelled):
    loader = make_loader(Images(), SPECS, batch_size=4, shuffle=True, labelled=labelled)
    for batches in (-1, len(loader) + 1):
        with pytest.raises(ValueError, match=f"from 0 to {len(loader)}, not {batches}"):
            loader.start(0, batches)
    with pytest.raises(ValueError, match="from 0 to 10, not 11"):
        EpochSampler(10, shuffle=True).start(0, 11)


def message(loader) -> str | None:
    # pytest.raises would keep the traceback, and with it the workers, for five seconds
    try:
        list(loader)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_is_reported_in_one_line(workers):
    loader = make_loader(Images(broken=5), SPECS, batch_size=2, shuffle=False, workers=workers)
    assert message(loader) == "5.png: cannot be read"


def test_images_of_several_sizes_need_a_size():
    loader = make_loader(Images(odd=1), SPECS, batch_size=2, shuffle=False)
    with pytest.raises(UserError, match=r"one size, not 4x6 \(0\) and 6x4 \(1\): give a size"):
        next(iter(loader))
    assert len(list(make_loader(Images(odd=1), SPECS, batch_size=1, shuffle=False))) == 10
