"""A run that starts from the weights of another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from command import SMALL, write_dataset

from mtpsl.cli import main
from mtpsl.training.trained import TrainedRun, load_run


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run; its data set lies beside it."""
    data = write_dataset(tmp_path_factory.mktemp("start") / "data", train=2, val=1, size=(32, 32))
    assert train(data, data.parent / "first", "--training.lr", "0.01") == 0
    return data.parent / "first"


def train(data: Path, out: Path, *options: str) -> int:
    fixed = ["--data.root", str(data), "--out", str(out), *SMALL, "--training.epochs", "1", "--training.sheets", "0"]
    return main(["train", *fixed, *options])


def weights(run: TrainedRun) -> dict[str, torch.Tensor]:
    return {name: p for part in (run.network, run.objective) for name, p in part.named_parameters()}


def farthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((x - other[name]).abs().max().detach()) for name, x in one.items())


def test_network_and_objective_start_where_the_other_run_ended(first: Path, tmp_path: Path) -> None:
    data, mine = first.parent / "data", weights(load_run(first))
    for out, options in ((tmp_path / "tuned", ["--training.start_from", str(first)]), (tmp_path / "fresh", [])):
        assert train(data, out, "--training.lr", "1e-9", "--training.seed", "5", *options) == 0
    assert farthest(mine, weights(load_run(tmp_path / "tuned"))) < 1e-6
    assert farthest(mine, weights(load_run(tmp_path / "fresh"))) > 0.1


def test_another_objective_takes_the_network_alone(first: Path, tmp_path: Path) -> None:
    options = ["--training.lr", "1e-9", "--training.start_from", str(first), "--objective.name", "semi_supervised"]
    options = ["--network.width", "0.125", "--training.accelerator", "cpu", "--training.sheets", "0", *options]
    data = ["--data.root", str(first.parent / "data"), "--training.epochs", "1", "--quiet"]
    assert main(["train", *data, *options, "--out", str(tmp_path / "tuned")]) == 0
    tuned = weights(load_run(tmp_path / "tuned"))
    assert farthest(tuned, {name: x for name, x in weights(load_run(first)).items() if name in tuned}) < 1e-6


def test_tasks_keep_the_order_in_which_the_objective_knows_them(first: Path, tmp_path: Path) -> None:
    data = shutil.copytree(first.parent / "data", tmp_path / "data")
    description = yaml.safe_load((data / "dataset.yaml").read_text())
    description["tasks"] = dict(reversed(description["tasks"].items()))
    (data / "dataset.yaml").write_text(yaml.safe_dump(description, sort_keys=False))
    assert train(data, tmp_path / "tuned", "--training.lr", "1e-9", "--training.start_from", str(first)) == 0
    one, other = load_run(first), load_run(tmp_path / "tuned")
    assert [task.name for task in one.tasks] == [task.name for task in other.tasks]
    assert farthest(weights(one), weights(other)) < 1e-6
    assert main(["train", "--resume", str(tmp_path / "tuned"), "--quiet"]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network.width", "0.25"], "does not fit the run: size mismatch"),
        (["--tasks", "[depth,normals]"], "predicts depth, normals, segmentation, but the run depth, normals"),
        (["--objective.mapping.network", "resnet18"], "does not fit the run"),
        (["--training.start_from", "nowhere"], "is not a run folder"),
    ],
)
def test_a_run_that_does_not_fit_is_refused_before_a_folder_is_made(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert train(first.parent / "data", tmp_path / "out", "--training.start_from", str(first), *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_weights_without_an_optimizer_cannot_be_continued(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(first.parent / "data", tmp_path / "run") == 0
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    torch.save({"epoch": content["epoch"], "state_dict": content["state_dict"]}, checkpoint)
    assert main(["train", "--resume", str(tmp_path / "run"), "--quiet"]) == 2
    assert f"--training.start_from {tmp_path / 'run'} --out NEW" in capsys.readouterr().err
