"""Batches without any label are passed over, by every process alike."""

from __future__ import annotations

from itertools import chain

import pytest
import torch

from builders import sample, tasks
from mtpsl.data import EpochSampler, make_loader
from mtpsl.data.labelled_batches import LabelledBatches
from mtpsl.structures import Sample

SPECS = {task.name: task.target_spec for task in tasks()}


def labels(count: int, share: float = 0.3, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed)) < share


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_all_processes_keep_the_batches_with_a_label_in_any_of_them(world_size: int, drop_last: bool) -> None:
    size, some, lengths = 2, labels(31), set()
    for epoch in range(4):
        all_batches, kept = [], []
        for rank in range(world_size):
            order = EpochSampler(
                31, shuffle=True, seed=5, rank=rank, world_size=world_size, drop_last_to=size if drop_last else None
            )
            batches = LabelledBatches(order, size, some)
            batches.set_epoch(epoch)
            mine = [*order]
            all_batches.append([mine[i : i + size] for i in range(0, len(mine), size)])
            kept.append([*batches])
            assert len(kept[-1]) == len(batches)
        wanted = [step for step in zip(*all_batches, strict=True) if some[[*chain(*step)]].any()]
        assert [*zip(*kept, strict=True)] == wanted
        lengths.add(len(wanted))
    assert len(lengths) > 1 or world_size > 1  # or this would not see that epochs differ


def test_an_epoch_without_any_labelled_batch_keeps_one() -> None:
    lonely = torch.tensor([True, False, False])
    left_out = []
    for epoch in range(20):
        batches = LabelledBatches(EpochSampler(3, shuffle=True, drop_last_to=2), 2, lonely)
        batches.set_epoch(epoch)
        (only,) = [*batches]
        left_out.append(0 not in only)
    assert {*left_out} == {False, True}


def test_another_number_of_images_is_refused() -> None:
    with pytest.raises(ValueError, match="3 images, not of 4"):
        LabelledBatches(EpochSampler(3, shuffle=True), 2, labels(4))


class Images(torch.utils.data.Dataset[Sample]):
    """Images of which some have a label; it notes which were read."""

    def __init__(self, labelled: torch.Tensor) -> None:
        self.labelled, self.read = labelled, []

    def __len__(self) -> int:
        return len(self.labelled)

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        return sample(str(index), (4, 6), seed=index).with_labels_of(["depth"] if self.labelled[index] else [])


def test_a_loader_reads_no_image_of_a_batch_that_is_passed_over() -> None:
    some = labels(20)
    images = Images(some)
    loader = make_loader(images, SPECS, batch_size=2, shuffle=True, labelled=some)
    for epoch in range(3):
        images.read.clear()
        loader.set_epoch(epoch)
        batches = [*loader]
        assert len(batches) == len(loader) < 10
        assert all(batch.labelled("depth").any() for batch in batches)
        assert any(not batch.labelled("depth").all() for batch in batches)
        assert len(images.read) == 2 * len(batches)


@pytest.mark.parametrize("known", [None, torch.ones(5, dtype=torch.bool)])
def test_where_all_images_have_labels_the_order_is_the_plain_one(known: torch.Tensor | None) -> None:
    plain = make_loader(Images(labels(5)), SPECS, batch_size=2, shuffle=True, seed=1)
    loader = make_loader(Images(labels(5)), SPECS, batch_size=2, shuffle=True, seed=1, labelled=known)
    for epoch in range(2):
        plain.sampler.set_epoch(epoch)
        loader.set_epoch(epoch)
        assert [batch.keys for batch in loader] == [batch.keys for batch in plain]


def test_evaluation_passes_over_nothing() -> None:
    loader = make_loader(Images(labels(6)), SPECS, batch_size=2, shuffle=False, labelled=labels(6))
    assert [key for batch in loader for key in batch.keys] == list("012345")
