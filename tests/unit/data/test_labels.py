"""Who is annotated: regimes, and that hidden labels stay hidden."""

from __future__ import annotations

import pytest
import torch

from builders import sample, tasks
from mtpsl.data import PartialDataset, label_mask, validate_for_training
from mtpsl.errors import UserError
from mtpsl.structures import Sample


def everything(count: int, k: int) -> torch.Tensor:
    return torch.ones(count, k, dtype=torch.bool)


def holes(count: int, k: int, share: float = 0.5, seed: int = 0) -> torch.Tensor:
    return torch.rand((count, k), generator=torch.Generator().manual_seed(seed)) > share


@pytest.mark.parametrize(("count", "k"), [(795, 3), (2975, 2), (4998, 5), (7, 3), (1, 4), (0, 2), (10, 1)])
def test_one_label_per_image_is_shared_out_evenly(count, k):
    mask = label_mask(everything(count, k), "one", seed=1)
    assert (mask.sum(1) == 1).all()
    assert mask.sum(0).max() - mask.sum(0).min() <= 1


def test_published_counts_are_reached():
    assert label_mask(everything(795, 3), "one", 0).sum(0).tolist() == [265, 265, 265]
    assert sorted(label_mask(everything(4998, 5), "one", 0).sum(0).tolist()) == [999, 999, 1000, 1000, 1000]
    assert sorted(label_mask(everything(2975, 2), "one", 0).sum(0).tolist()) == [1487, 1488]


def test_random_keeps_one_to_k_minus_one_labels_uniformly():
    mask = label_mask(everything(12000, 4), "random", seed=3)
    numbers = mask.sum(1).bincount(minlength=5)
    assert numbers[0] == numbers[4] == 0
    assert (numbers[1:4] - 4000).abs().max() < 250
    assert (mask.sum(0) - 6000).abs().max() < 250
    pairs = [int((mask[:, a] & mask[:, b] & (mask.sum(1) == 2)).sum()) for a in range(4) for b in range(a)]
    assert max(abs(pair - 4000 / 6) for pair in pairs) < 120


def test_random_with_a_single_task_keeps_it():
    assert label_mask(everything(5, 1), "random", seed=0).all()


@pytest.mark.parametrize("regime", ["full", "one", "random"])
def test_no_regime_invents_labels_and_none_leaves_an_image_bare_that_has_some(regime):
    available = holes(500, 4)
    mask = label_mask(available, regime, seed=2)
    assert not (mask & ~available).any()
    assert torch.equal(mask.any(1), available.any(1))
    if regime == "full":
        assert torch.equal(mask, available)
    if regime == "one":
        assert (mask.sum(1) <= 1).all()
        assert mask.sum(0).max() - mask.sum(0).min() <= 1
    if regime == "random":
        assert (mask.sum(1) <= 3).all()
        assert (mask.sum(1) < available.sum(1)).any()


def test_one_evens_out_what_single_labels_leave_uneven():
    available = everything(90, 3)
    available[:30, 1:] = False
    assert label_mask(available, "one", seed=0).sum(0).tolist() == [30, 30, 30]


@pytest.mark.parametrize("regime", ["one", "random"])
def test_masks_depend_on_the_seed_and_on_nothing_else(regime):
    torch.manual_seed(0)
    first = label_mask(everything(100, 3), regime, seed=5)
    state = torch.random.get_rng_state()
    torch.rand(3)
    assert torch.equal(first, label_mask(everything(100, 3), regime, seed=5))
    assert not torch.equal(first, label_mask(everything(100, 3), regime, seed=6))
    torch.random.set_rng_state(state)
    label_mask(everything(100, 3), regime, seed=5)
    assert torch.equal(state, torch.random.get_rng_state())


def test_an_unknown_regime_lists_the_known():
    with pytest.raises(UserError, match="full, one, random"):
        label_mask(everything(2, 2), "two", seed=0)


def test_training_needs_a_label_of_every_task_and_image():
    mask = torch.tensor([[True, False], [True, True], [False, True]])
    validate_for_training(mask, ["a", "b", "c"], ["depth", "edges"])
    with pytest.raises(UserError, match="task 'edges'"):
        validate_for_training(mask & torch.tensor([True, False]), ["a", "b", "c"], ["depth", "edges"])
    mask[1:] = mask[1:] & torch.tensor([[False], [True]])
    with pytest.raises(UserError, match="image 'b' has no label of depth, edges"):
        validate_for_training(mask, ["a", "b", "c"], ["depth", "edges"])
    validate_for_training(mask, ["a", "b", "c"], ["depth", "edges"], allow_unlabelled=True)
    with pytest.raises(UserError, match="task 'depth'"):
        validate_for_training(mask & False, ["a", "b", "c"], ["depth", "edges"], allow_unlabelled=True)


class Memory:
    """Samples in memory that notes what is read."""

    name = "memory"

    def __init__(self, count: int = 4) -> None:
        self.tasks = {task.name: task for task in tasks(edges=True)}
        self.keys = [f"image{i}" for i in range(count)]
        self.available = everything(count, 4)
        self.opened: list[tuple[int, list[str]]] = []

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Sample:
        return self.read(index, [*self.tasks])

    def read(self, index: int, tasks: list[str]) -> Sample:
        self.opened.append((index, [*tasks]))
        full = sample(self.keys[index], seed=index, edges=True)
        for name in full.valid:
            full.valid[name][: index + 1] = False
        full.image.mul_(255).round_().div_(255)
        return full.keep(tasks)


def equal(a: Sample, b: Sample) -> bool:
    return (
        a.key == b.key
        and torch.equal(a.image, b.image)
        and a.targets.keys() == b.targets.keys() == a.valid.keys() == b.valid.keys()
        and all(a.targets[name].dtype == b.targets[name].dtype for name in a.targets)
        and all(torch.equal(a.targets[name], b.targets[name]) for name in a.targets)
        and all(torch.equal(a.valid[name], b.valid[name]) for name in a.targets)
    )


@pytest.mark.parametrize("cache", [False, True])
def test_hidden_labels_are_not_read(cache):
    dataset = Memory()
    mask = label_mask(dataset.available, "one", seed=0)
    partial = PartialDataset(dataset, mask, cache=cache)
    for _ in range(2):
        for index, row in enumerate(mask.tolist()):
            allowed = [name for name, keep in zip(dataset.tasks, row, strict=True) if keep]
            assert equal(partial[index], dataset.read(index, allowed))
    opened = [one for _, names in dataset.opened for one in names]
    assert len(opened) == 8 + (4 if cache else 8)


def test_the_cache_returns_exactly_what_was_read_and_takes_a_byte_per_value_where_it_can():
    dataset = Memory()
    partial = PartialDataset(dataset, dataset.available)
    first = [partial[i] for i in range(4)]
    reads = len(dataset.opened)
    for index, original in enumerate(first):
        again = partial[index]
        assert equal(original, again)
        again.image.zero_()
        again.targets["depth"].zero_()
        again.valid["depth"].zero_()
        assert equal(original, partial[index])
    assert len(dataset.opened) == reads
    pixels = 4 * 32 * 64
    assert partial.cached_bytes == pixels * (3 + 1 + 1 + 4 * 4 + 4)


def test_values_that_do_not_fit_a_byte_stay_exact():
    dataset = Memory(1)
    odd = Sample(
        "a",
        torch.rand(3, 2, 2),
        {"segmentation": torch.tensor([[300, 0], [1, -5]]), "depth": torch.tensor([[[1e-3, 300.0], [-1, 0.5]]])},
        {name: torch.tensor([[True, False], [True, True]]) for name in ("segmentation", "depth")},
    )
    dataset.read = lambda index, tasks: odd
    partial = PartialDataset(dataset, dataset.available)
    assert equal(partial[0], odd)
    assert equal(partial[0], odd)


def test_preloading_reads_each_image_once():
    dataset = Memory()
    partial = PartialDataset(dataset, dataset.available)
    part = partial.subset([3, 1])
    assert part.preload() == partial.cached_bytes > 0
    partial.preload()
    assert sorted(index for index, _ in dataset.opened) == [0, 1, 2, 3]
    assert PartialDataset(dataset, dataset.available, cache=False).preload() == 0


def test_a_subset_keeps_rows_together():
    dataset = Memory()
    mask = torch.eye(4, dtype=torch.bool)
    part = PartialDataset(dataset, mask).subset([3, 0, 2]).subset([2, 0])
    assert part.keys == ["image2", "image3"]
    assert torch.equal(part.mask, mask[[2, 3]])
    assert [(part[i].key, *part[i].targets) for i in range(len(part))] == [("image2", "normals"), ("image3", "edges")]


def test_a_mask_has_to_fit_the_data_set():
    dataset = Memory()
    with pytest.raises(ValueError, match=r"shape \(4, 4\), not torch.bool of shape \(4, 3\)"):
        PartialDataset(dataset, everything(4, 3))
    dataset.available[1, 2] = False
    with pytest.raises(ValueError, match="normals of 'image1'"):
        PartialDataset(dataset, everything(4, 4))
