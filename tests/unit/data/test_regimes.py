"""Who is annotated: regimes, and that hidden labels stay hidden."""

from __future__ import annotations

import pytest
import torch

from builders import sample, tasks
from mtpsl.data import LabelledDataset, PartialDataset, label_mask, validate_for_training
from mtpsl.data.regimes import largest_remainder
from mtpsl.errors import UserError
from mtpsl.structures import Sample
from mtpsl.training.config import RunConfig
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.run_data import run_data
from mtpsl.training.settings import TrainingSettings


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


@pytest.mark.parametrize(
    ("regime", "options"), [("one", {}), ("random", {}), ("ratio", {"ratio": [1, 2, 4]}), ("semi", {"share": 0.3})]
)
def test_masks_depend_on_the_seed_and_on_nothing_else(regime, options):
    torch.manual_seed(0)
    first = label_mask(everything(100, 3), regime, seed=5, **options)
    state = torch.random.get_rng_state()
    torch.rand(3)
    assert torch.equal(first, label_mask(everything(100, 3), regime, seed=5, **options))
    assert not torch.equal(first, label_mask(everything(100, 3), regime, seed=6, **options))
    torch.random.set_rng_state(state)
    label_mask(everything(100, 3), regime, seed=5, **options)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("count", "ratio", "counts"),
    [
        (2975, [1, 9], [298, 2677]),  # 297.5 and 2677.5: equal remainders favor the first
        (2975, [9, 1], [2678, 297]),
        (2975, [0.1, 0.9], [298, 2677]),
        (10, [1, 2, 4], [1, 3, 6]),  # 1.43, 2.86, 5.71
        (10, [1, 1, 1], [4, 3, 3]),
        (7, [3, 0, 4], [3, 0, 4]),
        (100, [1e308, 1e308], [50, 50]),
    ],
)
def test_ratio_shares_images_out_by_largest_remainder(count, ratio, counts):
    assert largest_remainder(count, ratio) == counts
    mask = label_mask(everything(count, len(ratio)), "ratio", seed=4, ratio=ratio)
    assert (mask.sum(1) == 1).all()
    assert mask.sum(0).tolist() == counts


def test_ratio_uses_the_labels_that_exist_and_leaves_none_out():
    available = everything(100, 2)
    available[10:, 1] = False  # depth exists for the first ten images only
    mask = label_mask(available, "ratio", seed=1, ratio=[9, 1])
    assert mask.sum(0).tolist() == [90, 10]
    assert mask[:10, 1].all()
    mask = label_mask(available, "ratio", seed=1, ratio=[1, 9])  # 90 labels of depth do not exist
    assert mask.sum(0).tolist() == [90, 10]

    available = holes(500, 4)
    mask = label_mask(available, "ratio", seed=2, ratio=[1, 2, 3, 4])
    assert not (mask & ~available).any()
    assert torch.equal(mask.sum(1), available.any(1).long())
    count = int(available.any(1).sum())
    assert (mask.sum(0) - torch.tensor(largest_remainder(count, [1, 2, 3, 4]))).abs().max() <= 5


def test_a_task_of_weight_zero_gets_no_label_even_where_there_is_no_other():
    available = torch.tensor([[True, False], [True, True], [False, True]])
    mask = label_mask(available, "ratio", seed=0, ratio=[1, 0])
    assert mask.tolist() == [[True, False], [True, False], [False, False]]


def test_ratio_draws_every_image_alike():
    totals = sum(label_mask(everything(12, 2), "ratio", seed, ratio=[1, 3]).long() for seed in range(400))
    assert (totals[:, 0] - 100).abs().max() < 40  # three of twelve: 400 / 4, standard deviation 8.7


@pytest.mark.parametrize("ratio", [[1], [1, 2, 3], [1, -1], [0, 0], [float("nan"), 1], [float("inf"), 1], [], None])
def test_a_ratio_has_a_weight_per_task(ratio):
    with pytest.raises(UserError, match=r"--data.ratio .* for each of task 1, task 2 in this order"):
        label_mask(everything(4, 2), "ratio", seed=0, ratio=ratio)


@pytest.mark.parametrize(
    ("count", "share", "kept"), [(795, 1 / 3, 265), (795, 0.333, 265), (5, 0.5, 3), (5, 0.49, 2), (9, 0.05, 0)]
)
def test_semi_keeps_all_labels_of_a_share_of_the_images(count, share, kept):
    mask = label_mask(everything(count, 3), "semi", seed=3, share=share)
    assert torch.equal(mask.all(1), mask.any(1))
    assert int(mask.any(1).sum()) == kept


def test_semi_draws_images_that_have_labels_and_keeps_what_they_have():
    available = holes(400, 3)
    mask = label_mask(available, "semi", seed=0, share=0.5)
    assert torch.equal(mask[mask.any(1)], available[mask.any(1)])
    assert int(mask.any(1).sum()) == 200
    assert torch.equal(label_mask(available, "semi", seed=0, share=0.99), available)  # fewer than 396 have a label


def test_a_larger_share_keeps_the_images_of_a_smaller_one():
    small, large = (label_mask(everything(100, 2), "semi", seed=7, share=share) for share in (0.2, 0.6))
    assert not (small & ~large).any()


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan"), None])
def test_a_share_lies_between_zero_and_one(share):
    with pytest.raises(UserError, match=r"--data\.share should lie between 0 and 1"):
        label_mask(everything(4, 2), "semi", seed=0, share=share)


def test_file_keeps_what_is_allowed_and_exists():
    available, allowed = holes(50, 3, seed=1), holes(50, 3, seed=2)
    assert torch.equal(label_mask(available, "file", seed=0, allowed=allowed), available & allowed)
    with pytest.raises(ValueError, match="allowed"):
        label_mask(available, "file", seed=0)


def scenes(*names: str, run: list[str] | None = None, **options: object) -> RunConfig:
    """A run on 30 rooms with the tasks `names`, of which it trains `run`."""
    settings = DataSettings(name="scenes", scenes_train=30, scenes_val=2, tasks=[*names], **options)
    return RunConfig(settings, TrainingSettings(), "segnet", {}, "supervised", {}, run)


def test_images_without_labels_stay_in_training_where_the_regime_means_it():
    names = ("segmentation", "depth")
    train = run_data(scenes(*names, regime="semi", share=0.2)).train
    assert len(train) == 30
    assert int(train.mask.any(1).sum()) == int(train.mask.all(1).sum()) == 6
    assert len(run_data(scenes(*names, run=["depth"], regime="semi", share=0.2)).train) == 30
    assert len(run_data(scenes(*names, run=["depth"], regime="one")).train) == 15
    train = run_data(scenes(*names, regime="semi", share=0.2, limit=10)).train
    assert (len(train), int(train.mask.any(1).sum())) == (10, 2)


@pytest.mark.parametrize(("names", "ratio"), [(("segmentation", "depth"), [1, 9]), (("depth", "segmentation"), [9, 1])])
def test_a_ratio_follows_the_order_in_which_tasks_were_named(names, ratio):
    train = run_data(scenes(*names, regime="ratio", ratio=ratio, limit=20)).train
    counts = dict(zip(train.tasks, train.mask.sum(0).tolist(), strict=True))
    assert counts == {"segmentation": 2, "depth": 18}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"regime": "ratio", "ratio": [1, 2, 3]}, "--data.ratio .* depth, segmentation in this order.* not .1,2,3."),
        ({"regime": "ratio", "ratio": [0, 1]}, "task 'depth' has no label left .* --data.ratio"),
        ({"regime": "semi", "share": 0.01}, "no label left .* raise --data.share"),
    ],
)
def test_a_regime_that_does_not_fit_names_its_option(options, named):
    with pytest.raises(UserError, match=named):
        run_data(scenes("depth", "segmentation", **options))


@pytest.mark.parametrize(
    ("regime", "option", "value"), [("ratio", "ratio", [1]), ("semi", "share", 0.5), ("file", "labels", "a")]
)
def test_an_option_of_a_regime_comes_with_its_regime(regime, option, value):
    with pytest.raises(ValueError, match=f"data.{option} belongs to data.regime {regime}, not to one"):
        DataSettings(regime="one", **{option: value})
    with pytest.raises(ValueError, match=f"data.regime {regime} needs data.{option}"):
        DataSettings(regime=regime)
    assert DataSettings(regime=regime, **{option: value}).regime_name.startswith(regime)


def test_regimes_are_named_so_that_tables_tell_them_apart():
    assert DataSettings().regime_name == "full"
    assert DataSettings(regime="ratio", ratio=[0.5, 9]).regime_name == "ratio 0.5:9"
    shares = {0.333: "1/3", 0.25: "1/4", 0.05: "0.05", 0.35: "0.35", 0.0003: "0.0003", 0.9999: "0.9999"}
    for share, name in shares.items():
        assert DataSettings(regime="semi", share=share).regime_name == f"semi {name}"
    assert DataSettings(regime="file", labels="lists/mine.csv").regime_name == "file mine.csv"


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


class Memory(LabelledDataset):
    """Samples in memory that notes what is read."""

    name = "memory"

    def __init__(self, count: int = 4) -> None:
        self.tasks = {task.name: task for task in tasks(edges=True)}
        self.keys = [f"image{i}" for i in range(count)]
        self.available = everything(count, 4)
        self.opened: list[tuple[int, list[str]]] = []

    def _read(self, index: int, tasks: list[str]) -> Sample:
        self.opened.append((index, [*tasks]))
        full = sample(self.keys[index], seed=index, edges=True)
        for name in full.valid:
            full.valid[name][: index + 1] = False
        full.image.mul_(255).round_().div_(255)
        return full.with_labels_of(tasks)


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
    numbers = pixels * (3 + 1 + 1 + 4 * 4) + pixels * 4 // 8  # valid pixels take a bit
    assert numbers < partial.cached_bytes < numbers + 4 * 600


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


def test_a_subset_shares_the_cache_and_nothing_is_read_ahead():
    dataset = Memory()
    partial = PartialDataset(dataset, dataset.available)
    part = partial.subset([3, 1])
    assert not dataset.opened
    _ = part[0], part[1]
    assert part.cached_bytes == partial.cached_bytes > 0
    _ = [partial[index] for index in range(4)]
    assert sorted(index for index, _ in dataset.opened) == [0, 1, 2, 3]
    assert PartialDataset(dataset, dataset.available, cache=False).cached_bytes == 0


def test_a_subset_keeps_rows_together():
    dataset = Memory()
    mask = torch.eye(4, dtype=torch.bool)
    part = PartialDataset(dataset, mask).subset([3, 0, 2]).subset([2, 0])
    assert part.keys == ["image2", "image3"]
    assert torch.equal(part.mask, mask[[2, 3]])
    assert [(part[i].key, *part[i].targets) for i in range(len(part))] == [("image2", "normals"), ("image3", "edges")]


def test_a_few_images_come_from_everywhere():
    dataset = Memory()
    partial = PartialDataset(dataset, dataset.available)
    assert partial.spread(2).keys == ["image0", "image2"]
    assert partial.spread(9).keys == partial.keys


def test_a_mask_has_to_fit_the_data_set():
    dataset = Memory()
    with pytest.raises(ValueError, match=r"shape \(4, 4\), not torch.bool of shape \(4, 3\)"):
        PartialDataset(dataset, everything(4, 3))
    dataset.available[1, 2] = False
    with pytest.raises(ValueError, match="normals of 'image1'"):
        PartialDataset(dataset, everything(4, 4))
