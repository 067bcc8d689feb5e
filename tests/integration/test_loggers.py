"""Losses, scores and sheets of a run, read back from each logger; a continued run goes on in the same log."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from command import SMALL, write_dataset

from mtpsl.cli import main

LOSS, SCORE = "loss/depth", "val/depth/abs_err"
OPTIONS = ["--training.epochs", "1", "--training.report", "false"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # so that it is as before after the test
    return write_dataset(tmp_path / "data", train=2, val=1, size=(32, 32))


def train_twice(data: Path, logger: str) -> Path:
    """A run of one epoch, continued for another."""
    run = data.parent / "run"
    options = ["--training.logger", f"[{logger}]", *OPTIONS]
    assert main(["train", "--data.root", str(data), "--out", str(run), *SMALL, *options]) == 0
    content = yaml.safe_load((run / "config.yaml").read_text())
    content["training"]["epochs"] = 2
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    assert main(["train", "--resume", str(run), "--quiet"]) == 0
    return run


def expected(run: Path, name: str) -> list[float]:
    return [float(row[name]) for row in csv.DictReader((run / "metrics.csv").read_text().splitlines())]


@pytest.mark.filterwarnings("ignore")  # those of the loggers' own packages
def test_csv_holds_both_epochs_once(data: Path):
    run = train_twice(data, "csv")
    rows = [*csv.DictReader((run / "csv" / "metrics.csv").read_text().splitlines())]
    for name in (LOSS, SCORE):
        assert [float(row[name]) for row in rows if row[name]] == pytest.approx(expected(run, name), rel=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_holds_losses_scores_and_sheets(data: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train_twice(data, "tensorboard")
    log = EventAccumulator(str(run / "tensorboard"))
    log.Reload()
    for name in (LOSS, SCORE):
        assert [event.value for event in log.Scalars(name)] == pytest.approx(expected(run, name), rel=1e-4)
    (sheets,) = log.Tags()["images"]
    assert len(log.Images(sheets)) == 2
    assert log.Images(sheets)[0].encoded_image_string.startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore")
def test_mlflow_holds_losses_scores_and_sheets(data: Path):
    from mlflow import MlflowClient

    run = train_twice(data, "mlflow")
    client = MlflowClient((run / "mlflow").resolve().as_uri())
    (experiment,) = [one for one in client.search_experiments() if one.name == "mtpsl"]
    (found,) = client.search_runs([experiment.experiment_id])  # both parts are ONE run
    assert found.info.run_id == json.loads((run / "loggers.json").read_text())["mlflow"]
    for name in (LOSS, SCORE):
        values = [one.value for one in client.get_metric_history(found.info.run_id, name)]
        assert values == pytest.approx(expected(run, name), rel=1e-4)
    assert len([*(run / "mlflow").rglob("artifacts/sheets/*/*.png")]) == 2


def wandb_records(log: bytes) -> Iterator[bytes]:
    """What a log of W&B holds: records as LevelDB writes them (blocks of 32 KiB, heads of 7 bytes) after 7 bytes."""
    at, record = 7, b""
    while at + 7 <= len(log):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", log[at : at + 7])
        record += log[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


@pytest.mark.filterwarnings("ignore")
def test_wandb_offline_holds_losses_scores_and_sheets(data: Path):
    from wandb.proto import wandb_internal_pb2

    run = train_twice(data, "wandb")
    name = json.loads((run / "loggers.json").read_text())["wandb"]
    logs = sorted((run / "wandb").glob("offline-run-*/*.wandb"))
    assert [log.name for log in logs] == [f"run-{name}.wandb"] * 2  # `wandb sync` makes one run of both
    found: dict[str, list[float]] = {LOSS: [], SCORE: []}
    for log in logs:
        for content in wandb_records(log.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            for item in record.history.item:
                key = item.key or "/".join(item.nested_key)
                if key in found:
                    found[key].append(float(json.loads(item.value_json)))
    for metric, values in found.items():
        assert values == pytest.approx(expected(run, metric), rel=1e-4)
    assert len([*(run / "wandb").glob("offline-run-*/files/media/images/**/*.png")]) == 2


def test_a_logger_without_its_package_is_refused_in_one_line(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    find = importlib.util.find_spec
    monkeypatch.setattr("mtpsl.training.loggers.find_spec", lambda name: None if name == "wandb" else find(name))
    run = data.parent / "run"
    options = ["--training.logger", "[csv,wandb]", *OPTIONS]
    assert main(["train", "--data.root", str(data), "--out", str(run), *SMALL, *options]) == 2
    assert capsys.readouterr().err == (
        "mtpsl: training.logger wandb needs wandb: pip install 'mtpsl[loggers]' brings it\n"
    )
    assert not os.path.lexists(run)
