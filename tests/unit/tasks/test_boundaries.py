"""odsF against matchings by networkx, thinning by scikit-image and counts by hand."""

from __future__ import annotations

import copy
import multiprocessing
import sys
import warnings

import networkx
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, label

from mtpsl.tasks import boundaries
from mtpsl.tasks.boundaries import BoundaryMetric
from mtpsl.tasks.boundary_counts import count_boundaries, suppress
from mtpsl.tasks.boundary_matching import count_matches, match_boundaries
from mtpsl.tasks.largest_matching import matching_size
from mtpsl.tasks.thinning import pack, pack_levels, thin, unpack

FOUR = "matched", "predicted", "labelled", "images"


def largest_matching(prediction: np.ndarray, target: np.ndarray, distance: float) -> int:
    graph = networkx.Graph()
    left = [("p", *at) for at in np.argwhere(prediction).tolist()]
    right = [("t", *at) for at in np.argwhere(target).tolist()]
    graph.add_nodes_from(left + right)
    graph.add_edges_from((p, t) for p in left for t in right if np.hypot(p[1] - t[1], p[2] - t[2]) <= distance)
    return len(networkx.bipartite.maximum_matching(graph, top_nodes=left)) // 2


def blobs(random: np.random.Generator, count: int, size: tuple[int, int] = (30, 41)) -> np.ndarray:
    smooth = [gaussian_filter(random.random(size), width) for width in random.uniform(0.4, 4, count)]
    return np.stack([x > np.quantile(x, random.uniform(0.1, 0.9)) for x in smooth])


def logits(rows: list[str]) -> torch.Tensor:
    """A digit passes so many of the thresholds 0.1, 0.2, ... 0.9; a dot passes none."""
    probability = [[1e-6 if cell == "." else (int(cell) + 0.5) / 10 for cell in row] for row in rows]
    return torch.tensor(probability, dtype=torch.float64).logit()[None, None]


def ones(rows: list[str]) -> torch.Tensor:
    return torch.tensor([[float(cell == "#") for cell in row] for row in rows])[None, None]


def everywhere(x: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(x[:, 0], dtype=torch.bool)


def odsf(prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None = None, **options: object) -> float:
    metric = BoundaryMetric(**options)  # type: ignore[arg-type]
    metric.update(prediction, target, everywhere(target) if valid is None else valid)
    return float(metric.compute()["odsf"])


def hard_cases(size: tuple[int, int], seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Probabilities and outlines of regions: predictions as networks give them, and those that networks never give."""
    random, (y, x) = np.random.default_rng(seed), np.indices(size)

    def noise(smoothing: float) -> np.ndarray:
        smooth = gaussian_filter(random.standard_normal(size), smoothing)
        return smooth / smooth.std()

    region = np.argmax([noise(size[1] / 14) for _ in range(6)], axis=0)
    edges = thin(((region != np.roll(region, 1, 0)) | (region != np.roll(region, 1, 1)))[None])[0]
    blurred = gaussian_filter(edges.astype(float), 2)
    logits = {
        "soft": 3 * blurred / blurred.max() + 0.5 * noise(3) - 1.5,
        "plateaus": 0.6 * noise(6) + 0.05 * random.standard_normal(size),
        "noise": 2 * random.standard_normal(size),
        "checkerboard": np.where((y + x) % 2, 3.0, -3.0) + random.standard_normal(size),
        "constant": np.ones(size),
        "ramp": 8 * x / size[1] - 4.0,
    }
    return {kind: (1 / (1 + np.exp(-logit)), edges) for kind, logit in logits.items()}


def random_batch(seed: int, count: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    target = thin(blobs(random, count, (24, 32)))
    soft = np.stack([gaussian_filter(x.astype(float), 1.2) for x in np.roll(target, 1, axis=1)]) * 12 - 3
    prediction = torch.tensor(soft + 0.7 * random.standard_normal(soft.shape))[:, None].float()
    valid = torch.tensor(blobs(random, count, (24, 32)) | (random.random(target.shape) > 0.5))
    return prediction, torch.tensor(target)[:, None].float(), valid


# Matching


@pytest.mark.parametrize("distance", [0.0, 1.0, 1.5, 2.0, 2.3, 3.7])
def test_the_matching_is_as_large_as_networkx_finds(distance: float) -> None:
    random = np.random.default_rng(int(10 * distance))
    for _ in range(15):
        size = tuple(random.integers(1, 14, 2))
        prediction, target = random.random((2, *size)) < random.uniform(0.05, 0.9, (2, 1, 1))
        count = largest_matching(prediction, target, distance)
        assert match_boundaries(prediction, target, distance) == (count, count)


def test_lines_beside_lines_need_long_augmenting_paths_and_get_them() -> None:
    # Nearest first pairs all but the ends; only shifting every pair along the line frees the last two.
    prediction, target = np.zeros((2, 3, 40), dtype=bool)
    prediction[1, :39] = target[1, 1:] = True
    assert match_boundaries(prediction, target, 1.0) == (39, 39)
    assert largest_matching(prediction, target, 1.0) == 39


def test_many_maps_at_once_match_like_each_alone() -> None:
    random = np.random.default_rng(0)
    size = (15, 22)
    target, maps = blobs(random, 1, size)[0] & (random.random(size) < 0.4), thin(blobs(random, 70, size))
    together = count_matches(pack(maps), target, 2.3)
    assert together[:70].tolist() == [largest_matching(x, target, 2.3) for x in maps]
    assert not together[70:].any()


def test_pixels_at_opposite_borders_are_not_neighbors() -> None:
    prediction, target = np.zeros((2, 4, 6), dtype=bool)
    prediction[1, 5] = target[2, 0] = True
    assert match_boundaries(prediction, target, 2.0) == (0, 0)


@pytest.mark.parametrize("kind", hard_cases((4, 4)))
@pytest.mark.parametrize("distance", [1.0, 2.9])
def test_predictions_of_every_kind_match_as_networkx_matches_threshold_by_threshold(kind: str, distance: float) -> None:
    probability, edges = hard_cases((20, 27))[kind]
    mask = np.random.default_rng(1).random(edges.shape) < 0.9
    options = {"distance": distance, "thresholds": 99, "thin": True, "nms": False}
    matched, predicted = count_boundaries(probability, edges & mask, mask, **options)  # type: ignore[arg-type]
    for k in range(5, 99, 23):
        alone = thin(probability[None] >= (k + 1) / 100)[0] & mask
        assert (matched[k], predicted[k]) == (largest_matching(alone, edges & mask, distance), alone.sum())


def test_the_flow_matches_random_graphs_as_networkx_does() -> None:
    random = np.random.default_rng(2)
    number = np.zeros(40, np.int32)
    for _ in range(60):
        n, m = random.integers(1, 13, 2)
        partners = np.sort([random.choice(40, m, replace=False) for _ in range(n)], axis=1)
        may_pair = random.random((n, m)) < random.uniform(0.1, 1)
        graph = networkx.Graph()
        graph.add_nodes_from(("label", int(row)) for row in range(n))
        graph.add_edges_from((("label", int(i)), int(partners[i, j])) for i, j in np.argwhere(may_pair))
        pairs = networkx.bipartite.maximum_matching(graph, [("label", int(row)) for row in range(n)])
        assert matching_size(may_pair, partners, number) == len(pairs) // 2
        assert not number.any()


@pytest.mark.skipif(sys.platform != "linux", reason="the clock runs in a forked process, so that it can be stopped")
@pytest.mark.parametrize("kind", hard_cases((4, 4)))
def test_no_image_takes_for_ever(kind: str) -> None:
    probability, edges = hard_cases((375, 500))[kind]
    mask, options = np.ones_like(edges), {"distance": 4.69, "thresholds": 99, "thin": True, "nms": False}

    def work() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (5, 6))  # a forked process begins with none used
        count_boundaries(probability, edges, mask, **options)  # type: ignore[arg-type]

    child = multiprocessing.get_context("fork").Process(target=work)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    child.join()
    assert child.exitcode == 0, "more than 5 s of one core"


# Thinning


def test_thinning_agrees_with_scikit_image() -> None:
    morphology = pytest.importorskip("skimage.morphology")
    maps = blobs(np.random.default_rng(1), 130)
    for before, after in zip(maps, thin(maps), strict=True):
        np.testing.assert_array_equal(after, morphology.thin(before))


def test_thinning_keeps_connected_shapes_connected_leaves_lines_and_is_idempotent() -> None:
    maps = np.concatenate([blobs(np.random.default_rng(2), 60), np.ones((1, 30, 41), dtype=bool)])
    after = thin(maps)
    np.testing.assert_array_equal(thin(after), after)
    assert not (after & ~maps).any()
    squares = after[:, 1:, 1:] & after[:, :-1, 1:] & after[:, 1:, :-1] & after[:, :-1, :-1]
    assert squares.sum() < 5e-3 * after.sum()  # crossings of four lines can stay two pixels wide
    for x, y in zip(maps, after, strict=True):
        assert label(x, np.ones((3, 3)))[1] == label(y, np.ones((3, 3)))[1]


def test_thinning_of_no_map_and_of_an_empty_map() -> None:
    assert thin(np.zeros((0, 4, 5), dtype=bool)).shape == (0, 4, 5)
    assert not thin(np.zeros((2, 4, 5), dtype=bool)).any()


def test_levels_are_packed_as_the_maps_themselves() -> None:
    level = np.random.default_rng(3).integers(0, 100, (9, 7))
    levels = np.unique(level[level > 0])[:70]
    maps = level >= levels[:, None, None]
    np.testing.assert_array_equal(pack_levels(level, levels), pack(maps))
    np.testing.assert_array_equal(unpack(pack(maps), len(maps)), maps)


# The score


def test_an_example_worked_out_by_hand() -> None:
    # Distance 0.15 * sqrt(50) = 1.06: one step up, down or aside. Of the three 9s, the upper two lie a step beside the
    # label and the lower one is wrong. The 6 coincides with the label; the 3 is two steps away: wrong.
    prediction = logits([".9...", ".9...", ".....", "..6..", "9...3"])
    target = ones(["..#..", "..#..", "..#..", "..#..", "....."])
    metric = BoundaryMetric(tolerance=0.15, thresholds=9, thin=False)
    metric.update(prediction, target, everywhere(target))
    assert metric.predicted.tolist() == [5, 5, 5, 4, 4, 4, 3, 3, 3]
    assert metric.matched.tolist() == [3, 3, 3, 3, 3, 3, 2, 2, 2]
    assert int(metric.labelled) == 4
    # best between 0.4 and 0.6: precision 3/4, recall 3/4
    assert float(metric.compute()["odsf"]) == pytest.approx(75.0)


def test_one_prediction_cannot_answer_for_two_labels() -> None:
    prediction, target = logits([".....", ".9.9.", "....."]), ones([".....", "##.##", "....."])
    # precision 1, recall 1/2
    assert odsf(prediction, target, tolerance=0.2) == pytest.approx(100 * 2 / 3)


def test_a_perfect_prediction_scores_100() -> None:
    target = torch.tensor(thin(blobs(np.random.default_rng(4), 3)))[:, None].float()
    assert odsf(20 * target - 10, target) == 100.0


@pytest.mark.parametrize(("shift", "expected"), [(1, 100.0), (2, 0.0)])
def test_a_shift_within_the_tolerance_is_free_and_beyond_it_fatal(shift: int, expected: float) -> None:
    target = torch.zeros(1, 1, 96, 128)  # distance 1.2
    target[..., 5:90, 40] = target[..., 5:90, 80] = 1
    assert odsf(20 * target.roll(shift, -1) - 10, target) == expected


def test_thick_predictions_are_thinned() -> None:
    target = torch.zeros(1, 1, 40, 60)
    target[..., 20, 3:57] = 1
    thick = torch.zeros_like(target)
    thick[..., 18:23, 1:59] = 1
    assert odsf(20 * thick - 10, target) > 98
    assert odsf(20 * thick - 10, target, thin=False) < 50


def test_suppression_leaves_the_crest_of_a_ridge() -> None:
    y, x = np.indices((40, 40))
    for across in (x - 20.0, y - 20.0, (x - y) / np.sqrt(2)):
        crest = suppress(np.exp(-(across**2) / 8))[8:-8, 8:-8]
        np.testing.assert_array_equal(crest > 1e-6, (across == 0)[8:-8, 8:-8])


def test_suppression_before_thinning_finds_the_crest_that_a_low_threshold_misses() -> None:
    target = torch.zeros(1, 1, 60, 60)
    target[..., 30, :] = 1
    y = torch.arange(60.0)[:, None].expand(60, 60)
    slope = torch.where(y <= 30, 4 - (30 - y) * 0.1, 4 - (y - 30) * 2.0)[None, None]
    assert odsf(slope, target, thresholds=1, nms=True) > 95
    assert odsf(slope, target, thresholds=1) < 5


# Masks, batches, processes


def test_pixels_not_valid_count_neither_as_right_nor_as_wrong() -> None:
    prediction, target, _ = random_batch(5)
    valid = torch.ones(4, 24, 32, dtype=torch.bool)
    valid[:, 6:12, 9:20] = valid[0, :, 30:] = False
    metric = BoundaryMetric(thresholds=3)
    metric.update(prediction, target, valid)
    matched, predicted, labelled = np.zeros(3, dtype=int), np.zeros(3, dtype=int), 0
    for p, t, v in zip(
        prediction[:, 0].double().sigmoid().numpy(), target[:, 0].numpy() > 0.5, valid.numpy(), strict=True
    ):
        maps = thin(np.stack([p >= k / 4 for k in (1, 2, 3)])) & v
        matched += [largest_matching(x, t & v, 0.0075 * 40) for x in maps]
        predicted += maps.sum((1, 2))
        labelled += (t & v).sum()
    assert metric.matched.tolist() == matched.tolist()
    assert metric.predicted.tolist() == predicted.tolist()
    assert int(metric.labelled) == labelled


def test_labels_outside_of_valid_pixels_change_nothing() -> None:
    prediction, target, valid = random_batch(6)
    assert odsf(prediction, torch.where(valid[:, None], target, 1 - target), valid) == odsf(prediction, target, valid)


def test_an_image_without_a_valid_pixel_changes_nothing() -> None:
    prediction, target, valid = random_batch(7)
    valid[2] = False
    rest = [0, 1, 3]
    assert odsf(prediction, target, valid) == odsf(prediction[rest], target[rest], valid[rest])


def test_nothing_seen_is_nan_and_no_label_is_zero() -> None:
    prediction, target, valid = random_batch(8)
    assert np.isnan(odsf(prediction, target, torch.zeros_like(valid)))
    assert np.isnan(float(odsf(prediction[:0], target[:0], valid[:0])))
    assert odsf(prediction, torch.zeros_like(target), valid) == 0.0
    assert odsf(torch.full_like(prediction, -20.0), torch.zeros_like(target), valid) == 0.0


def test_an_image_without_labels_lowers_precision() -> None:
    target = torch.zeros(2, 1, 20, 20)
    target[0, :, 10] = 1
    prediction = 20 * target[[0, 0]] - 10
    # the same 20 pixels are right in the first image and wrong in the second: precision 1/2, recall 1
    assert odsf(prediction, target) == pytest.approx(100 * 2 / 3)


def test_nan_counts_as_no_boundary() -> None:
    prediction, target, valid = random_batch(9)
    prediction[0, :, :5] = torch.nan
    assert odsf(prediction, target, valid) == odsf(prediction.nan_to_num(-1e4), target, valid)


def test_batches_workers_and_processes_do_not_change_the_score(monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, target, valid = random_batch(10, count=6)
    whole, shared, single = BoundaryMetric(), BoundaryMetric(workers=4), BoundaryMetric()
    other = copy.deepcopy(single)
    whole.update(prediction, target, valid)
    with monkeypatch.context() as patch:
        patch.setattr(boundaries, "WORTH_FORKING", 0)
        shared.update(prediction, target, valid)
    for row in range(6):
        (single if row % 2 else other).update(*(x[row : row + 1] for x in (prediction, target, valid)))
    assert all(single._reductions[name] is whole._reductions["matched"] for name in FOUR)
    for name in FOUR:
        reduced = whole._reductions[name](torch.stack([getattr(single, name), getattr(other, name)]))
        assert torch.equal(reduced, getattr(whole, name))
        assert torch.equal(getattr(shared, name), getattr(whole, name))
    assert 0 < float(whole.compute()["odsf"]) < 100


def test_fewer_levels_than_thresholds_give_the_same_counts_as_every_threshold_alone() -> None:
    _, target, valid = random_batch(11)
    prediction = torch.tensor(
        np.random.default_rng(0).choice([-3.0, -0.1, 0.0, 2.5], (4, 1, 24, 32), p=[0.8, 0.1, 0.05, 0.05])
    )
    metric = BoundaryMetric(thresholds=99, tolerance=0.05)
    metric.update(prediction, target, valid)
    for k in (4, 5, 47, 48, 50, 51, 92, 93, 99):
        matched = predicted = 0
        for p, t, v in zip(prediction[:, 0].sigmoid().numpy(), target[:, 0].numpy() > 0.5, valid.numpy(), strict=True):
            binary = thin(p[None] >= k / 100)[0] & v
            matched += largest_matching(binary, t & v, 0.05 * 40)
            predicted += binary.sum()
        assert (int(metric.matched[k - 1]), int(metric.predicted[k - 1])) == (matched, predicted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": -0.1}, "tolerance should be .* not -0.1"),
        ({"thresholds": 0}, "thresholds should be at least 1, not 0"),
        ({"workers": 0}, "workers should be at least 1, not 0"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BoundaryMetric(**options)  # type: ignore[arg-type]
