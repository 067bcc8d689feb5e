"""Two processes train what one with the double batch does; runs with a weighting are complete and can be resumed."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import lightning
import pytest
import torch
from command import mtpsl, write_dataset
from torch import Tensor, multiprocessing
from two_processes import CHOSEN, KINDS, Tiny, process, sums, train

from mtpsl.cli import main
from mtpsl.training.run import load_run


@pytest.fixture(scope="module")
def folder_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    multiprocessing.start_processes(process, (str(folder),), nprocs=2, start_method="spawn")
    return folder


@pytest.fixture(scope="module")
def of_two(folder_of_two: Path) -> list[dict[str, list[Tensor]]]:
    folder = folder_of_two
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", CHOSEN)
def test_two_processes_train_what_one_does_with_the_double_batch(
    name: str, of_two: list[dict[str, list[Tensor]]]
) -> None:
    start, wanted = [*Tiny().parameters()], train(name, slice(0, 4))
    for first, second, one in zip(of_two[0][name], of_two[1][name], wanted, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(first, one, rtol=1e-5, atol=1e-5, equal_nan=True)
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(start, wanted, strict=False))


def test_what_an_objective_measures_counts_the_images_of_all_processes(folder_of_two: Path) -> None:
    first, second = (torch.load(folder_of_two / f"sums{rank}.pt") for rank in range(2))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, equal_nan=True)
    one = sums(slice(0, 4))
    torch.testing.assert_close(first["factors"], one["factors"], rtol=1e-4, atol=0)
    torch.testing.assert_close(first["gain"], one["gain"], rtol=1e-4, atol=1e-5, equal_nan=True)
    assert (first["relations.mismatched"] > 0).sum() == 2  # each of the two pairs was seen in one process only


OPTIONS = ["--network.width", "0.125", "--training.batch_size", "2", "--training.sheets", "1", "--training.accelerator"]
OPTIONS += ["cpu", "--quiet", "--data.regime", "one"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("weighting") / "data")


def test_two_processes_of_a_run_stay_the_same(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = mtpsl(
        "train", "--data.root", data, "--objective", "cross_task", "--objective.mapping_width", 0.125, "--weighting",
        "mgda", "--training.devices", 2, "--training.epochs", 1, "--training.accumulate", 2, "--out", run, *OPTIONS,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores = json.loads((run / "scores.json").read_text())
    assert scores["run"]["complete"]
    assert scores["run"]["weighting"] == "mgda"
    (row,) = csv.DictReader((run / "metrics.csv").read_text().splitlines())
    weights = {name.removeprefix("weight/"): float(x) for name, x in row.items() if name.startswith("weight/")}
    assert weights
    assert set(weights) <= set(KINDS)
    assert all(weight >= 0 for weight in weights.values())
    assert main(["evaluate", str(run)]) == 0
    one = json.loads((run / "scores.json").read_text())
    for task, values in scores["scores"].items():
        for metric, score in values.items():  # both processes validated the network that was saved
            assert one["scores"][task][metric]["value"] == pytest.approx(score["value"], rel=1e-4), (task, metric)


@pytest.mark.parametrize("name", ["dwa", "gradnorm"])
def test_a_resumed_run_repeats_an_uninterrupted_one(name: str, data: Path, tmp_path: Path) -> None:
    options = ["--data.root", str(data), "--objective", "supervised", "--weighting", name, *OPTIONS]
    options += ["--training.clip", "1.0", "--training.epochs", "3"]
    assert main(["train", *options, "--out", str(tmp_path / "whole")]) == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    shutil.rmtree(tmp_path / "part" / "checkpoints")
    with pytest.MonkeyPatch.context() as patch:  # stop after two epochs
        fit = lightning.Trainer.fit

        def half(trainer: lightning.Trainer, *args: object, **kwargs: object) -> None:
            trainer.fit_loop.max_epochs = 2
            fit(trainer, *args, **kwargs)

        patch.setattr(lightning.Trainer, "fit", half)
        assert main(["train", "--resume", str(tmp_path / "part"), "--quiet"]) == 0
    assert main(["train", "--resume", str(tmp_path / "part"), "--quiet"]) == 0
    whole, resumed = (
        torch.load(tmp_path / which / "checkpoints" / "last.ckpt", weights_only=True) for which in ("whole", "part")
    )
    assert whole["epoch"] == resumed["epoch"] == 2
    assert whole["state_dict"].keys() == resumed["state_dict"].keys()
    assert all(torch.equal(x, resumed["state_dict"][key]) for key, x in whole["state_dict"].items())
    assert any(key.startswith("weighting.") for key in whole["state_dict"])


def test_mixed_precision_accumulation_and_clipping_train_with_gradients(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ["--training.precision", "bf16-mixed", "--training.accumulate", "2", "--training.clip", "0.1"]
    options += ["--data.root", str(data), "--training.epochs", "1", "--training.channels_last", "true"]
    assert main(["train", "--weighting=upgrad", "--objective=supervised", *options, *OPTIONS, "--out", str(run)]) == 0
    scores = json.loads((run / "scores.json").read_text())
    assert (scores["run"]["complete"], scores["run"]["label"]) == (True, "supervised + upgrad")


def test_a_run_from_before_weightings_still_loads(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ["--data.root", str(data), "--training.epochs", "1", "--objective", "supervised", *OPTIONS]
    assert main(["train", *options, "--out", str(run)]) == 0
    text = (run / "config.yaml").read_text()
    assert "weighting:\n  name: uniform\n" in text
    (run / "config.yaml").write_text(text.replace("weighting:\n  name: uniform\n", ""))
    assert load_run(run).config.weighting == "uniform"
    assert main(["train", "--resume", str(run), "--quiet"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weighting", "mdga"], "weighting 'mdga' is unknown: choose one of uniform, fixed"),
        (["--weighting", "fixed", "--weighting.weights", "{deph: 2.0}"], "weights names deph; the tasks are"),
        (["--weighting", "gradnorm", "--weighting.weight_lr", "0"], "weight_lr should be positive"),
        (["--weighting", "gradnorm", "--training.compile", "true"], "name its weight with --weighting.layer"),
    ],
)
def test_mistakes_are_told_before_training(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    run = tmp_path / "run"
    assert main(["train", "--data.root", str(data), "--out", str(run), *OPTIONS, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not run.exists()


def test_a_missing_solver_is_told_before_training(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtpsl.weighting.gradient.find_spec", lambda package: None)
    run = tmp_path / "run"
    assert main(["train", "--data.root", str(data), "--out", str(run), "--weighting", "nash_mtl", *OPTIONS]) == 2
    assert "weighting nash_mtl needs cvxpy and ecos: pip install 'mtpsl[solvers]'" in capsys.readouterr().err
    assert not run.exists()
