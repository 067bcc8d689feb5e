from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mtpsl.errors import UserError
from mtpsl.shipped_files import shipped
from mtpsl.sweep.checks_before import check_runs
from mtpsl.sweep.folders import make_jobs
from mtpsl.sweep.plan import PlannedRun, plan_runs, select_runs
from mtpsl.sweep.published import published_numbers
from mtpsl.sweep.table import read_table

SCENES = {"name": "scenes", "size": [32, 32], "scenes_train": 6, "scenes_val": 2, "tasks": ["segmentation", "depth"]}


def write_table(folder: Path, **changes: Any) -> str:
    content: dict[str, Any] = {
        "title": "A table",
        "regimes": ["one", "full"],
        "methods": ["stl", "supervised", "cross_task"],
        "seeds": [0, 1],
        "options": {"data": SCENES, "network": {"width": 0.125}, "training.epochs": 3},
    }
    content = {key: value for key, value in (content | changes).items() if value is not None}
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(content))
    return str(file)


def plan(folder: Path, *words: str, **changes: Any) -> dict[str, PlannedRun]:
    return {run.name: run for run in plan_runs(read_table(write_table(folder, **changes)), words)}


def complaint(folder: Path, *words: str, **changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        check_runs(list(plan(folder, *words, **changes).values()))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_matrix_is_every_method_regime_and_seed_with_a_run_per_task_for_the_baseline(tmp_path: Path):
    methods = ["stl", {"objective": "cross_task", "label": "ours (w/o reg)", "regimes": ["one"]}]
    assert list(plan(tmp_path, methods=methods)) == [
        *(f"one/stl/{seed}/{task}" for seed in (0, 1) for task in ("segmentation", "depth")),
        *(f"one/ours_w_o_reg/{seed}" for seed in (0, 1)),
        *(f"full/stl/{seed}/{task}" for seed in (0, 1) for task in ("segmentation", "depth")),
    ]


def test_a_run_has_the_options_of_table_method_regime_and_command_line(tmp_path: Path):
    methods = [{"label": "ours", "objective": {"name": "cross_task", "term": {"weight": 3.0}}, "training.lr": 0.5}]
    run = plan(tmp_path, "--training.epochs", "7", methods=methods)["one/ours/1"]
    config = run.config
    assert (config.label, config.objective, config.objective_options["term"]["weight"]) == ("ours", "cross_task", 3.0)
    assert (config.data.regime, config.training.seed, config.training.lr) == ("one", 1, 0.5)
    assert (config.training.epochs, config.network_options["width"], config.tasks) == (7, 0.125, None)


def test_shared_options_of_an_objective_reach_the_methods_that_have_them(tmp_path: Path):
    options = {"data": SCENES, "objective.mapping.width": 0.25, "objective.losses": {"reduction": "sum"}}
    runs = plan(tmp_path, "--objective.term.ramp", "0.5", "--objective.mapping.stride=2", options=options)
    ours, plain = runs["one/cross_task/0"].config, runs["one/supervised/0"].config
    assert (ours.objective_options["mapping"]["width"], plain.objective_options["losses"]["reduction"]) == (0.25, "sum")
    assert (ours.objective_options["term"]["ramp"], ours.objective_options["mapping"]["stride"]) == (0.5, 2)
    assert "mapping" not in plain.objective_options


def test_an_option_for_all_that_reaches_no_method_is_refused(tmp_path: Path):
    options = {"data": SCENES}
    with pytest.raises(UserError, match=r"--objective\.term\.ramp: no method of .*mine\.yaml has it"):
        plan(tmp_path, "--objective.term.ramp", "0.5", options=options, methods=["supervised"])


def test_a_recipe_is_where_the_runs_start_from(tmp_path: Path):
    runs = plan(tmp_path, recipe="demo", options={"training": {"epochs": 1}})
    config = runs["full/cross_task/0"].config
    assert (config.data.name, config.training.lr, config.training.epochs) == ("scenes", 0.002, 1)
    assert (config.objective_options["mapping"]["stride"], config.data.regime) == (2, "full")


def test_single_task_runs_of_weighted_tasks_keep_their_own_weight(tmp_path: Path):
    options = {"data": SCENES, "objective.losses.task_weights": {"segmentation": 1.0, "depth": 5.0}}
    runs = plan(tmp_path, methods=["stl", "supervised"], options=options)
    assert runs["one/stl/0/depth"].config.objective_options["losses"]["task_weights"] == {"depth": 5.0}
    check_runs(list(runs.values()))


def test_regimes_of_one_kind_are_told_apart(tmp_path: Path):
    regimes = ["full", {"regime": "ratio", "ratio": [1, 3]}, {"regime": "ratio", "ratio": [3, 1]}]
    methods = [{"objective": "supervised", "regimes": ["ratio"]}, {"objective": "cross_task", "regimes": ["ratio 3:1"]}]
    names = list(plan(tmp_path, regimes=regimes, methods=methods, seeds=[0]))
    assert names == ["ratio_1_3/supervised/0", "ratio_3_1/supervised/0", "ratio_3_1/cross_task/0"]


def test_seeds_can_be_given_instead(tmp_path: Path):
    runs = plan_runs(read_table(write_table(tmp_path, methods=["supervised"], regimes=["one"])), seeds=[4])
    assert [run.name for run in runs] == ["one/supervised/4"]


def test_some_of_the_runs_can_be_chosen(tmp_path: Path):
    runs = list(plan(tmp_path).values())
    assert [run.name for run in select_runs(runs, "one/cross*")] == ["one/cross_task/0", "one/cross_task/1"]
    assert [run.name for run in select_runs(runs, "*/stl/0/depth")] == ["one/stl/0/depth", "full/stl/0/depth"]
    assert select_runs(runs, None) == runs
    with pytest.raises(UserError, match="fits no run: they are called one/stl/0/segmentation"):
        select_runs(runs, "two")


MISTAKES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an unknown key": ({"metods": []}, ["mine.yaml", "metods", "methods"]),
    "an unknown method": ({"methods": ["cros_task"]}, ["method 'cros_task'", "cross_task"]),
    "an unknown key of a method": ({"methods": [{"objectiv": "stl"}]}, ["objectiv", "label"]),
    "a method without objective": ({"methods": [{"label": "mine"}]}, ["method 'mine'", "objective is missing"]),
    "an option that a method does not have": (
        {"methods": [{"label": "ours", "objective": {"name": "cross_task", "weigth": 2}}]},
        ["method 'ours'", "weigth"],
    ),
    "a wrong value": (
        {"methods": [{"label": "ours", "objective": {"name": "cross_task", "term": {"weight": -1}}}]},
        ["ours", "-1"],
    ),
    "an option that no method has": (
        {"methods": ["supervised"], "options": {"data": SCENES, "objective": {"term": {"weight": 1}}}},
        ["no method has objective.term.weight"],
    ),
    "an unknown option for all": ({"options": {"data": SCENES, "training": {"epochz": 1}}}, ["epochz"]),
    "an unknown network": ({"methods": [{"objective": "supervised", "network": "segnot"}]}, ["segnot", "segnet"]),
    "an unknown regime": ({"regimes": ["two"]}, ["two", "random"]),
    "a regime that the table does not have": (
        {"methods": [{"objective": "stl", "regimes": ["random"]}]},
        ["'random' is not among the table's: one, full"],
    ),
    "no method": ({"methods": []}, ["methods should be a list"]),
    "methods missing": ({"methods": None}, ["methods", "missing"]),
    "seeds that are words": ({"seeds": ["a"]}, ["seeds", "[0, 1]"]),
    "two methods of one name": ({"methods": ["supervised", "supervised"]}, ["one/supervised/0", "another label"]),
    "an objective that needs two tasks": (
        {"options": {"data": SCENES, "tasks": ["depth"]}, "methods": ["cross_task"]},
        ["cross_task", "task"],
    ),
    "a task that is not there": ({"options": {"data": SCENES | {"tasks": ["flow"]}}}, ["flow"]),
    "an unknown source": ({"source": "Tab. 99"}, ["Tab. 99", "CVPR22 Tab. 9"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_that_names_it(name: str, tmp_path: Path):
    changes, named = MISTAKES[name]
    if name == "an unknown source":
        with pytest.raises(UserError) as caught:
            published_numbers([changes["source"]], None)
        error = str(caught.value)
    else:
        error = complaint(tmp_path, **changes)
    for word in named:
        assert word in error, error


@pytest.mark.parametrize("words", [["--objective", "stl"], ["--data.regime=one"], ["--training.seed", "3"]])
def test_what_differs_between_runs_is_no_option_of_all(words: list[str], tmp_path: Path):
    assert "differs between the runs of a sweep" in complaint(tmp_path, *words)


def test_a_regime_that_leaves_a_task_without_labels_is_found_before_training(tmp_path: Path):
    error = complaint(tmp_path, "--data.limit", "1", regimes=["one"], methods=["supervised"])
    assert "one/supervised/0" in error
    assert "no label" in error


def test_a_run_trained_with_other_options_is_not_taken_for_done(tmp_path: Path):
    runs = list(plan(tmp_path, methods=["supervised"], regimes=["one"], seeds=[0]).values())
    (job,) = make_jobs(runs, tmp_path)
    assert job.folder == tmp_path / "runs/one/supervised/0"
    job.folder.mkdir(parents=True)
    (job.folder / "config.yaml").write_text(yaml.safe_dump(dict(job.config)))
    assert make_jobs(runs, tmp_path) == [job]
    (job.folder / "config.yaml").write_text(
        yaml.safe_dump({**job.config, "data": {**SCENES, "regime": "one", "root": "/x"}})
    )
    assert make_jobs(runs, tmp_path) == [job]  # where the data lies changes no score
    (job.folder / "config.yaml").write_text(yaml.safe_dump({**job.config, "training": {"epochs": 30}}))
    with pytest.raises(UserError, match=r"was trained with training\.epochs 30, but now it is 3"):
        make_jobs(runs, tmp_path)


TASKS = {
    "segmentation": {"classes": 3},
    "depth": {"scale": 0.001},
    "normals": {"offset": 128, "divisor": 127},
    "edges": {},
    "human_parts": {},
    "saliency": {},
}


@pytest.mark.parametrize("path", shipped("tables"), ids=lambda path: path.stem)
def test_every_shipped_table_is_right_but_for_the_data(path: Path, tmp_path: Path):
    table = read_table(path.stem)
    assert path.read_text().startswith(f"# {table.title.split(',')[0] if table.sources else 'Built-in'}")
    assert f"mtpsl sweep {path.stem}" in path.read_text()
    words = [] if path.stem == "demo" else [*folder_words(tmp_path), "--data.size", "[32,64]", "--data.classes", "null"]
    if path.stem == "tab12":  # no download in a test, and folders have edges of one kind
        words += ["--network.weights", "none", "--data.score_edges", "laplacian"]
    runs = plan_runs(table, words)
    check_runs(runs)
    printed = published_numbers(table.sources, table.benchmark)
    shown = {
        (run.regime.published or run.config.data.regime_name, run.method.published or run.config.method) for run in runs
    }
    if table.sources:
        mine = {key for source in table.sources[:1] for key in published_numbers([source], table.benchmark)}
        assert mine <= shown <= set(printed) | {("semi 1/3", "stl")}  # all its rows, and no other


def folder_words(root: Path) -> list[str]:
    return ["--data.name", "folder", "--data.root", str(write_data(root))]


def write_data(root: Path) -> Path:
    """The names of six images with every label: what a check looks at."""
    for split in ("train", "val"):
        for kind in ("image", *TASKS):
            (root / split / kind).mkdir(parents=True)
            for index in range(40):
                (root / split / kind / f"{index:02}.png").touch()
    (root / "dataset.yaml").write_text(yaml.safe_dump({"name": "six", "tasks": TASKS}))
    return root
