"""Five tasks in the layout of PASCAL-Context: every objective trains; one run is evaluated, resumed and applied."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders import leaf_names
from mtpsl.cli import main
from mtpsl.objectives import OBJECTIVES
from pascal_tree import write_pascal

TASKS = {"segmentation": "miou", "human_parts": "miou", "normals": "mean_err", "saliency": "miou", "edges": "odsf"}
SMALL = [
    "--network.weights", "none",
    "--network.head_channels", "8",
    "--data.size", "[32,32]",
    "--training.batch_size", "2",
    "--training.accelerator", "cpu",
    "--quiet",
]  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pascal(tmp_path_factory.mktemp("pascal") / "PASCAL")


def train(tree: Path, objective: str, out: Path, *options: str) -> int:
    mapping = ["--objective.mapping.width", "0.0625"] if "width" in leaf_names(OBJECTIVES[objective]) else []
    words = ["pascal_all_labels", "--data.root", str(tree), "--objective.name", objective, "--out", str(out)]
    return main(["train", *words, *SMALL, *mapping, *options])


@pytest.mark.parametrize("objective", [name for name in OBJECTIVES if name != "stl"])
def test_every_objective_trains_five_tasks(objective: str, tree: Path, tmp_path: Path) -> None:
    assert train(tree, objective, tmp_path / "run", "--training.epochs", "1", "--training.sheets", "0") == 0
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())["scores"]
    assert {task: next(iter(values)) for task, values in scores.items()} == TASKS


def test_a_run_is_evaluated_resumed_and_applied(tree: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(tree, "cross_task", run, "--training.epochs", "1", "--training.sheets", "1") == 0
    assert len(list((run / "pictures" / "sheets").glob("*.png"))) == 1
    trained = json.loads((run / "scores.json").read_text())["scores"]
    assert main(["evaluate", str(run)]) == 0
    assert json.loads((run / "scores.json").read_text())["scores"] == trained
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 1\n", "epochs: 2\n"))
    assert main(["train", "--resume", str(run), "--quiet"]) == 0
    assert [row.split(",")[0] for row in (run / "metrics.csv").read_text().splitlines()[1:]] == ["1", "2"]
    out = tmp_path / "predictions"
    assert main(["predict", str(run), str(tree / "JPEGImages"), "--out", str(out)]) == 0
    for task in TASKS:
        assert len(list(out.rglob(f"*{task}*"))) >= 1, task
