from __future__ import annotations

import math
from dataclasses import astuple
from pathlib import Path

import pytest

from mtpsl.errors import UserError
from mtpsl.evaluation.compare import DELTA_MTL, HEADROOM, Block, Row, Summary, compare
from run_folders import write_run

PARTIAL = {"segmentation": (20.0, 25.0), "depth": (0.5, 0.4)}
ALL = {"segmentation": (25.0, 25.0), "depth": (0.4, 0.4)}


def write_singles(root: Path, scores: dict[str, tuple[float, ...]] = PARTIAL, regime: str = "one", **run: object):
    for task, values in scores.items():
        for seed, value in enumerate(values):
            write_run(root, "stl", {task: value}, seed=seed, regime=regime, **run)


def write_pair(root: Path, objective: str, *scores: tuple[float, float], regime: str = "one", **run: object):
    """A multi-task run per seed, given segmentation and depth."""
    for seed, (segmentation, depth) in enumerate(scores):
        write_run(root, objective, {"segmentation": segmentation, "depth": depth}, seed=seed, regime=regime, **run)


def write_example(root: Path):
    write_singles(root)
    write_singles(root, ALL, regime="full")
    write_pair(root, "cross_task", (22, 0.5), (25, 0.4))  # +10 and 0 %: +5; 0
    write_pair(root, "supervised", (21, 0.55), (25, 0.44))  # +5 and -10 %: -2.5; 0 and -10 %: -5
    # against PARTIAL +20 and 0 %: +10; +20 and +10 %: +15; against ALL -4 and -25 %: -14.5; +20 and +10 %: +15
    write_pair(root, "supervised", (24, 0.5), (30, 0.36), regime="full")


def row(block: Block, method: str, regime: str = "one") -> Row:
    (found,) = [row for row in block.rows if (row.method, row.regime) == (method, regime)]
    return found


def cell(block: Block, method: str, metric: str, regime: str = "one") -> Summary:
    (found,) = [cell for column, cell in row(block, method, regime).cells.items() if column.metric == metric]
    return found


def numbers(block: Block, method: str, metric: str, regime: str = "one") -> tuple[float, ...]:
    """Mean, standard deviation, count."""
    return astuple(cell(block, method, metric, regime))


def approximately(mean: float, std: float, count: int) -> object:
    return pytest.approx((mean, std, count), nan_ok=True)


def test_every_number_of_an_example_worked_out_by_hand(tmp_path: Path):
    write_example(tmp_path)
    (block,) = compare([tmp_path]).blocks
    root = math.sqrt(2)
    assert numbers(block, "supervised", "miou") == approximately(23, 4 / root, 2)
    assert numbers(block, "supervised", "abs_err") == approximately(0.495, 0.11 / root, 2)
    assert numbers(block, "supervised", "delta_mtl") == approximately(-3.75, 2.5 / root, 2)
    assert numbers(block, "cross_task", "delta_mtl") == approximately(2.5, 5 / root, 2)
    assert numbers(block, "supervised", "delta_mtl", "full") == approximately(0.25, 29.5 / root, 2)
    # the way from -2.5 to 10 and from -5 to 15, of which +5 and 0 are 7.5 / 12.5 and 5 / 20
    assert numbers(block, "cross_task", "share_of_headroom") == approximately((60 + 25) / 2, 35 / root, 2)
    assert numbers(block, "stl", "miou") == approximately(22.5, 5 / root, 2)
    assert numbers(block, "stl", "delta_mtl") == approximately(0, math.nan, 2)
    assert HEADROOM not in row(block, "supervised").cells
    assert HEADROOM not in row(block, "supervised", "full").cells
    assert block.notes == (
        "headroom of one: supervised goes from ΔMTL -3.75 % with its labels to +12.50 % with all, against the "
        "single-task runs of one (seeds that have both: 2)",
    )


def test_what_is_compared_is_counted(tmp_path: Path):
    write_example(tmp_path)
    comparison = compare([tmp_path])
    assert (comparison.runs, comparison.seeds, comparison.epochs, comparison.commits) == (
        14,
        (0, 1),
        (20,),
        ("c0ffee",),
    )
    assert comparison.notes == ()


def test_the_order_of_paths_does_not_change_the_comparison(tmp_path: Path):
    write_example(tmp_path)
    folders = sorted(tmp_path.iterdir())
    assert compare(folders) == compare(folders[::-1]) == compare([tmp_path])


def test_rows_stand_in_the_order_of_papers(tmp_path: Path):
    for method in ("cross_task_plus", "cross_task", "contrastive", "supervised", "semi_supervised"):
        write_pair(tmp_path, method, (20, 0.5))
    write_pair(tmp_path, "cross_task", (20, 0.5), regime="full")
    write_pair(tmp_path, "supervised", (20, 0.5), regime="random")
    write_singles(tmp_path)
    (block,) = compare([tmp_path]).blocks
    assert [(row.regime, row.method) for row in block.rows] == [
        *(("one", method) for method in ("stl", "supervised", "semi_supervised", "contrastive")),
        *(("one", method) for method in ("cross_task", "cross_task_plus")),
        ("random", "supervised"),
        ("full", "cross_task"),
    ]


def test_missing_single_task_runs_leave_no_improvement_and_are_named(tmp_path: Path):
    write_singles(tmp_path, {"segmentation": (20.0,)})
    write_pair(tmp_path, "supervised", (21, 0.5))
    (block,) = compare([tmp_path]).blocks
    assert all(DELTA_MTL not in row.cells for row in block.rows)
    assert DELTA_MTL not in block.columns
    assert block.notes == ("one: no single-task run (objective stl) of depth, so no ΔMTL",)


def test_single_task_runs_of_other_labels_are_no_baseline(tmp_path: Path):
    write_singles(tmp_path, ALL, regime="full")
    write_pair(tmp_path, "supervised", (21, 0.5))
    (block,) = compare([tmp_path]).blocks
    assert DELTA_MTL not in row(block, "supervised").cells
    assert "one: no single-task run (objective stl) of segmentation, depth, so no ΔMTL" in block.notes


def test_the_mean_over_seeds_stands_in_for_a_missing_single_task_seed(tmp_path: Path):
    write_singles(tmp_path, {"segmentation": (20.0, 30.0), "depth": (0.5, 0.4, 0.4)})
    write_pair(tmp_path, "supervised", (20, 0.5), (30, 0.4), (30, 0.4))  # 0; 0; +20 % (of 25) and 0 %
    (block,) = compare([tmp_path]).blocks
    assert numbers(block, "supervised", "delta_mtl") == approximately(10 / 3, 10 / math.sqrt(3), 3)
    assert "one, seed 2: no single-task run of segmentation; the mean of seed 0, 1 stands in" in block.notes


def test_seeds_that_lack_a_run_are_left_out_of_the_share_and_named(tmp_path: Path):
    write_example(tmp_path)
    write_run(tmp_path, "cross_task", {"segmentation": 40, "depth": 0.2}, seed=2)
    (block,) = compare([tmp_path]).blocks
    assert numbers(block, "cross_task", "share_of_headroom") == approximately(42.5, 35 / math.sqrt(2), 2)
    assert cell(block, "cross_task", "miou").count == 3
    assert block.notes[-1] == (
        "not the same seeds: stl (one), supervised (one), stl (full), supervised (full) over 0, 1; "
        "cross_task (one) over 0, 1, 2"
    )


def test_there_is_no_share_where_all_labels_are_no_better(tmp_path: Path):
    write_singles(tmp_path)
    for objective, regime in (("supervised", "one"), ("cross_task", "one"), ("supervised", "full")):
        write_pair(tmp_path, objective, (21, 0.5), regime=regime)
    (block,) = compare([tmp_path]).blocks
    assert math.isnan(cell(block, "cross_task", "share_of_headroom").mean)
    assert "one, seed 0: supervised with all labels is no better, so no headroom" in block.notes


def test_there_is_no_share_without_all_labels(tmp_path: Path):
    write_singles(tmp_path)
    write_pair(tmp_path, "supervised", (21, 0.5))
    write_pair(tmp_path, "cross_task", (21, 0.5))
    assert compare([tmp_path]).blocks[0].columns[-1] == DELTA_MTL


@pytest.mark.parametrize("change", [{"data": "streets"}, {"epochs": 30}, {"image_size": [64, 96]}, {"network": "r18"}])
def test_runs_that_cannot_be_compared_stand_apart(tmp_path: Path, change: dict[str, object]):
    write_singles(tmp_path / "a")
    write_pair(tmp_path / "a", "supervised", (21, 0.5))
    write_pair(tmp_path / "b", "supervised", (30, 0.3), **change)
    blocks = {str(block.setting): block for block in compare([tmp_path]).blocks}
    first = blocks.pop("rooms (val), segnet, 96 x 128, 20 epochs")
    (second,) = blocks.values()
    assert cell(first, "supervised", "miou").mean == 21
    assert DELTA_MTL in first.columns
    assert [row.method for row in second.rows] == ["supervised"]
    assert DELTA_MTL not in second.columns


def test_other_sets_of_tasks_stand_apart_but_share_their_single_task_runs(tmp_path: Path):
    write_singles(tmp_path, {"segmentation": (20.0,), "depth": (0.5,), "normals": (26.0,)})
    write_run(tmp_path, "supervised", {"segmentation": 22, "depth": 0.5})
    write_run(tmp_path, "supervised", {"depth": 0.4, "segmentation": 20, "normals": 26.0})
    three, two = compare([tmp_path]).blocks
    assert cell(two, "supervised", "delta_mtl").mean == pytest.approx(5)
    assert cell(three, "supervised", "delta_mtl").mean == pytest.approx(20 / 3)
    assert three.tasks == ("depth", "segmentation", "normals")


def test_single_task_runs_alone_are_a_table_too(tmp_path: Path):
    write_singles(tmp_path)
    (block,) = compare([tmp_path]).blocks
    assert block.tasks == ("segmentation", "depth") or block.tasks == ("depth", "segmentation")
    assert [row.method for row in block.rows] == ["stl"]
    assert DELTA_MTL not in block.columns


def test_a_task_never_seen_is_no_number_and_gives_no_improvement(tmp_path: Path):
    write_singles(tmp_path)
    write_pair(tmp_path, "supervised", (21, 0.5), (25, math.nan))
    (block,) = compare([tmp_path]).blocks
    assert cell(block, "supervised", "miou").mean == 23
    assert math.isnan(cell(block, "supervised", "abs_err").mean)
    assert math.isnan(cell(block, "supervised", "delta_mtl").mean)
    assert "supervised, one, seed 1: ΔMTL is not defined (no score of depth)" in block.notes


def test_a_single_task_score_of_zero_gives_no_improvement(tmp_path: Path):
    write_singles(tmp_path, {"segmentation": (0.0,), "depth": (math.nan,)})
    write_pair(tmp_path, "supervised", (21, 0.5))
    (block,) = compare([tmp_path]).blocks
    note = "supervised, one, seed 0: ΔMTL is not defined (single-task score of segmentation, depth absent or zero)"
    assert block.notes == (note,)
    assert math.isnan(cell(block, "stl", "delta_mtl").mean)


def test_two_runs_of_one_kind_and_seed_are_told_apart_by_their_folders(tmp_path: Path):
    for seed, (one, other) in enumerate([(0.5, 0.6), (0.52, 0.58)]):
        write_run(tmp_path / "pretrained", "supervised", {"depth": one}, seed=seed)
        write_run(tmp_path / "scratch", "supervised", {"depth": other}, seed=seed)
    write_run(tmp_path / "scratch", "supervised", {"depth": 0.7}, seed=2)
    write_run(tmp_path, "cross_task", {"depth": 0.4})
    comparison = compare([tmp_path / "pretrained", tmp_path])
    (block,) = comparison.blocks
    assert [(row.method, row.seeds) for row in block.rows] == [
        ("supervised (pretrained)", (0, 1)),
        ("supervised (scratch)", (0, 1, 2)),
        ("cross_task", (0,)),
    ]
    assert numbers(block, "supervised (pretrained)", "abs_err")[0] == pytest.approx(0.51)
    note = "5 runs are supervised, one: their folders' names tell them apart (--label names a run)"
    assert comparison.notes == (note,)


def test_runs_that_measure_in_other_units_are_refused(tmp_path: Path):
    write_run(tmp_path, "supervised", {"depth": 0.5})
    other = write_run(tmp_path, "cross_task", {"depth": 50.0})
    file = other / "scores.json"
    file.write_text(file.read_text().replace('"unit": "m"', '"unit": "cm"'))
    with pytest.raises(UserError, match="differ in what depth abs_err is"):
        compare([tmp_path])


def test_unfinished_runs_alone_are_refused_by_name(tmp_path: Path):
    folder = write_run(tmp_path, "supervised", {"depth": 0.5}, complete=False)
    with pytest.raises(UserError, match="no finished run to compare") as caught:
        compare([tmp_path])
    assert str(folder) in str(caught.value)


def test_rows_are_named_by_labels_and_the_baselines_are_found_by_objective(tmp_path: Path):
    write_singles(tmp_path)
    write_pair(tmp_path / "a", "supervised", (22, 0.5), (25, 0.4))
    write_pair(tmp_path / "b", "supervised", (24, 0.5), (30, 0.4), label="mgda")
    write_pair(tmp_path / "c", "supervised", (24, 0.5), (30, 0.36), regime="full")
    (block,) = compare([tmp_path]).blocks
    assert [(row.regime, row.method) for row in block.rows] == [
        *(("one", method) for method in ("stl", "supervised", "mgda")),
        ("full", "supervised"),
    ]
    # supervised gains +5 and 0, with all labels +10 and +15; mgda, though trained with its objective, goes to +10, +10
    assert numbers(block, "mgda", "share_of_headroom") == approximately((100 + 200 / 3) / 2, 100 / 3 / math.sqrt(2), 2)
    assert HEADROOM not in row(block, "supervised").cells


def test_a_label_does_not_hide_a_second_baseline(tmp_path: Path):
    write_run(tmp_path / "a", "stl", {"depth": 0.5}, label="short")
    write_run(tmp_path / "b", "stl", {"depth": 0.6}, label="long")
    with pytest.raises(UserError, match="are both long, one, seed 0"):
        compare([tmp_path])


def test_two_runs_of_one_label_are_told_apart_by_their_folders(tmp_path: Path):
    first = write_run(tmp_path / "a", "supervised", {"depth": 0.5}, label="ours")
    second = write_run(tmp_path / "b", "cross_task", {"depth": 0.6}, label="ours")
    (block,) = compare([first, second]).blocks
    assert {row.method for row in block.rows} == {
        "ours (a/rooms-supervised-depth-one-20-0)",
        "ours (b/rooms-cross_task-depth-one-20-0)",
    }


def test_one_label_for_two_objectives_is_refused(tmp_path: Path):
    write_run(tmp_path, "supervised", {"depth": 0.5}, label="ours")
    write_run(tmp_path, "cross_task", {"depth": 0.6}, label="ours", seed=1)
    with pytest.raises(
        UserError, match="both labelled ours, but one was trained with cross_task, the other with supervised"
    ):
        compare([tmp_path])


def test_networks_can_stand_in_one_block_and_share_the_baseline(tmp_path: Path):
    write_singles(tmp_path, {"segmentation": (20.0,), "depth": (0.5,)})
    write_pair(tmp_path / "a", "supervised", (22, 0.5))
    write_pair(tmp_path / "b", "supervised", (24, 0.5), label="mtan", network="mtan")
    assert len(compare([tmp_path]).blocks) == 2
    (block,) = compare([tmp_path], networks_together=True).blocks
    assert block.setting.network == "mtan, segnet"
    assert cell(block, "mtan", "delta_mtl").mean == pytest.approx(10)


@pytest.mark.parametrize(("single", "noted"), [(4.9, True), (9.99, True), (10.0, False), (20.0, False)])
def test_an_improvement_over_networks_that_have_hardly_learnt_is_noted(single: float, noted: bool, tmp_path: Path):
    write_singles(tmp_path, {"segmentation": (single,), "depth": (0.5,)})
    write_pair(tmp_path, "supervised", (21, 0.5))
    write_pair(tmp_path, "cross_task", (22, 0.5))
    (block,) = compare([tmp_path]).blocks
    note = (
        f"one, seed 0: the single-task network of segmentation scores only {single:.1f} %, so ΔMTL, which divides by "
        "that, says little"
    )
    assert block.notes == ((note,) if noted else ())
