"""Runs whose predictions are held to what is known of two tasks."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
import yaml
from command import PLAIN, write_dataset
from test_teacher_run import StoppedError, stopping_after_first

from mtpsl.cli import main
from mtpsl.data.layouts.folder import FolderDataset
from mtpsl.data.partial import PartialDataset

OPTIONS = [
    *PLAIN,
    "--objective.name", "supervised",
    "--network.width", "0.0625",
    "--objective.relations.weight", "0.5",
    "--training.batch_size", "2",
    "--training.accelerator", "cpu",
    "--training.sheets", "0",
    "--training.report", "false",
    "--training.epochs", "2",
    "--quiet",
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Images with segmentation, depth, normals, and edges that follow from segmentation."""
    root = write_dataset(tmp_path / "data", train=4, val=2, size=(32, 32))
    described = yaml.safe_load((root / "dataset.yaml").read_text())
    described["tasks"]["edges"] = {"from": "segmentation"}
    (root / "dataset.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    return root


def give_camera(data: Path, camera: object) -> None:
    """The camera of all images; every one has depth and normals, and neither follows from the other."""
    described = yaml.safe_load((data / "dataset.yaml").read_text())
    (data / "dataset.yaml").write_text(yaml.safe_dump({**described, "camera": camera}, sort_keys=False))


@pytest.mark.parametrize(
    ("tasks", "objective"), [("segmentation,edges", "supervised"), ("depth,normals", "mean_teacher")]
)
def test_a_run_reports_them_and_goes_on_bit_for_bit(
    tasks: str, objective: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_camera(data, {"focal": 40, "size": [32, 32]})
    monkeypatch.setattr("mtpsl.objectives.known_relations.depth_normals.WORST", 1e3)  # an untrained depth is no plane
    fixed = ["train", "--data.root", str(data), "--tasks", tasks, *OPTIONS, "--objective.name", objective]
    fixed += ["--training.lr", "0.01"]
    assert main([*fixed, "--out", str(tmp_path / "whole")]) == 0
    with (tmp_path / "whole" / "metrics.csv").open(encoding="utf-8") as file:
        values = [float(row[f"loss/{tasks.replace(',', '=>')}"]) for row in csv.DictReader(file)]
    assert 0 < values[0] < values[1]  # the weight rises over the whole training
    part = tmp_path / "part"
    with monkeypatch.context() as patch:
        patch.setattr("mtpsl.training.callbacks.LastCheckpoint.on_train_epoch_end", stopping_after_first())
        with pytest.raises(StoppedError):
            main([*fixed, "--out", str(part)])
    assert main(["train", "--resume", str(part), "--quiet"]) == 0
    one, two = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (tmp_path / "whole", part)
    )
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_run_that_has_no_such_tasks_does_not_begin(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--data.root", str(data), "--tasks", "segmentation,depth", *OPTIONS]
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "relations.weight is 0.5, but of the tasks depth, segmentation no two have a known relation" in line
    assert "leave relations.weight out" in line
    assert not (tmp_path / "run").exists()


def test_depth_and_normals_need_a_camera(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--data.root", str(data), *OPTIONS]
    assert main([*words, "--tasks", "depth,normals", "--out", str(tmp_path / "run")]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "objective.relations.weight: depth=>normals needs the camera of the images" in line
    assert "beside `tasks`, as camera: {focal: 500, size: [480, 640]}, or leave objective.relations.weight out" in line
    assert not (tmp_path / "run").exists()
    assert main([*words, "--out", str(tmp_path / "run"), "--training.epochs", "1"]) == 0
    assert "; only segmentation=>edges counts" in capsys.readouterr().err


def test_cameras_come_from_the_data_set_for_images_without_depth_too(data: Path, tmp_path: Path) -> None:
    described = yaml.safe_load((data / "dataset.yaml").read_text())
    rows = ["id,split,f", *(f"{i:03},{split},{40 + i}" for split in ("train", "val") for i in range(4))]
    (data / "views.csv").write_text("\n".join(rows).replace("003,train,43", "003,train,"))
    camera = {"file": "views.csv", "name": "id", "split": "split", "focal": "f", "size": [32, 32]}
    described["tasks"]["normals"] |= {"from": "depth", "camera": camera}
    (data / "dataset.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    for name in ("002", "003"):
        (data / "train" / "depth" / f"{name}.png").unlink()
    dataset = FolderDataset(data, "train", size=(16, 32))
    shown = PartialDataset(dataset, dataset.available)
    for _ in range(2):  # read, then kept
        found = shown[2].camera
        assert found is not None
        assert found.tolist() == [[42.0, 0.0, 15.5], [0.0, 21.0, 7.5], [0.0, 0.0, 1.0]]
    assert shown[3].camera is None
    words = ["train", "--data.root", str(data), *OPTIONS, "--tasks", "depth,normals", "--training.epochs", "1"]
    assert main([*words, "--data.workers", "1", "--out", str(tmp_path / "run")]) == 0
    with (tmp_path / "run" / "metrics.csv").open(encoding="utf-8") as file:
        assert [row["loss/depth=>normals"] for row in csv.DictReader(file)]


def test_a_wrong_camera_of_all_images_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--data.root", str(data), *OPTIONS, "--tasks", "depth,normals", "--out", str(tmp_path / "run")]
    for camera, said in [
        ({"focal": 0, "size": [32, 32]}, "dataset.yaml: `focal` should be positive lengths in pixels, not 0 and 0"),
        ({"focal": 40, "size": [32, 64]}, "image '000': the camera is that of images of 32x64 (height x width)"),
    ]:
        give_camera(data, camera)
        assert main(words) == 2
        line = capsys.readouterr().err
        assert said in line
        assert line.count("\n") == 1
        assert not (tmp_path / "run").exists()
