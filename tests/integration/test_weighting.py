"""Runs with a weighting are complete and can be resumed."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import lightning
import pytest
import torch
from command import PLAIN, mtpsl, write_dataset
from two_processes import KINDS

from builders import tasks
from mtpsl.cli import main
from mtpsl.errors import UserError
from mtpsl.training.build import build_network, build_weighting
from mtpsl.training.config import parse_config
from mtpsl.training.trained import load_run

OPTIONS = [
    *PLAIN,
    "--network.width",
    "0.125",
    "--training.batch_size",
    "2",
    "--training.sheets",
    "1",
    "--training.accelerator",
]
OPTIONS += ["cpu", "--quiet", "--data.regime", "one"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("weighting") / "data")


def test_two_processes_of_a_run_stay_the_same(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = mtpsl(
        "train", "--data.root", data, "--objective", "cross_task", "--objective.mapping.width", 0.125, "--weighting",
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("gradnorm --weighting.layer nothing", "layer 'nothing' is no parameter .* such as encoder.model"),
        ("gradnorm --weighting.layer encoder.0.0.weight --training.freeze_encoder true", "is no parameter of the"),
        ("gradnorm --training.freeze_encoder true", "gradnorm weighs what tasks share, of which nothing is trained"),
        ("mgda --training.freeze_encoder true", "mgda weighs what tasks share, of which nothing is trained"),
    ],
)
def test_a_weighting_without_anything_to_weigh_is_refused(words: str, message: str) -> None:
    per_task = "--network encoder_decoder --network.encoder test_resnet --network.decoder_per_task true --weighting"
    config = parse_config([*per_task.split(), *words.split()], {})
    network = build_network(config, tasks())
    with pytest.raises(UserError, match=message):
        build_weighting(config, tasks(), network)
    assert build_weighting(replace(config, weighting="dwa", weighting_options={}), tasks(), network)
