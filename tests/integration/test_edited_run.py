"""Options that are edited before a run is continued: used from then on, or refused by name."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
import yaml
from command import SMALL, write_dataset

from mtpsl.cli import main
from mtpsl.errors import UserError
from mtpsl.training.config import RunConfig, as_plain, parse_config, read_config
from mtpsl.training.continued import AT_ANY_TIME, FOR_LATER_EPOCHS, changed_options
from mtpsl.training.option_groups import by_name
from mtpsl.training.run_folder import RunFolder
from mtpsl.training.trained import load_run

OTHER: dict[str, Any] = {
    "label": "ours",
    "data.name": "folder",
    "data.root": "moved",
    "data.description": "elsewhere.yaml",
    "data.label_cache": "cache",
    "data.labels": "list.yaml",
    "data.workers": 1,
    "data.cache": "none",
    "data.cache_folder": "elsewhere",
    "data.cache_limit": 1.0,
    "data.broken": "skip",
    "training.report": False,
    "training.sheets": 1,
    "objective.mapping.checkpoint": True,
    "training.epochs": 4,
    "training.batch_size": 1,
    "training.drop_last": False,
    "training.lr": 0.02,
    "training.weight_decay": 0.1,
    "training.schedule": "poly",
    "training.warmup": 0.9,
    "training.clip": 0.5,
    "training.accumulate": 2,
    "training.validate_every": 1,
    "training.logger": ["csv"],
    "training.keep_best": True,
    "training.patience": 3,
    "training.scales": [1.0],
    "training.flip": False,
    "training.rotation": 5.0,
    "training.rescale": [0.9, 1.1],
    "training.rescale_draw": "uniform",
    "training.border": "zero",
    "training.photometric": 0.5,
    "training.precision": "bf16-mixed",
    "training.channels_last": True,
    "training.compile": True,
    "training.accelerator": "auto",
    "training.devices": 2,
    "training.num_nodes": 2,
    "training.strategy": "ddp",
    "training.sync_batchnorm": True,
    "training.checkpoint_minutes": 5.0,
}
"""Another value of every option that may change."""
WITH = {"training.border": "training.rotation", "training.rescale_draw": "training.rescale"}
WITH |= dict.fromkeys(["training.strategy", "training.sync_batchnorm"], "training.devices")
"""Options that belong to another one."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped after the first of three epochs; its data lies beside it."""
    data = write_dataset(tmp_path_factory.mktemp("edited") / "data", train=4, val=1, size=(32, 32))
    options = [*SMALL, "--training.sheets", "0", "--training.lr", "0.01", "--training.epochs", "1"]
    run = data.parent / "run"
    assert main(["train", "--data.root", str(data), "--out", str(run), *options]) == 0
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    content["mtpsl"]["config"]["training"]["epochs"] = 3
    torch.save(content, run / "checkpoints" / "last.ckpt")
    edit(run, {"training.epochs": 3})
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def edit(run: Path, values: dict[str, Any]) -> None:
    """Change options in config.yaml as a person would."""
    content = yaml.safe_load((run / "config.yaml").read_text())
    for option, value in values.items():
        set_option(content, option, value)
    (run / "config.yaml").write_text(yaml.safe_dump(content))


def set_option(content: dict[str, Any], option: str, value: Any) -> None:
    *groups, name = option.split(".")
    for group in groups:
        content = content[group]
    content[name] = value


def resume(run: Path, *words: object) -> int:
    return main(["train", "--resume", str(run), "--quiet", *map(str, words)])


def of_checkpoint(run: Path) -> dict[str, Any]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Training is left out; the loaders and the module that it would use are noted."""
    seen: list[Any] = []

    def fit(trainer: lightning.Trainer, module: Any, datamodule: Any, **how: Any) -> None:
        seen.extend([trainer, module, datamodule])

    monkeypatch.setattr(lightning.Trainer, "fit", fit)
    return seen


def test_every_option_that_may_change_is_tried() -> None:
    assert set(OTHER) == AT_ANY_TIME | FOR_LATER_EPOCHS


def config() -> RunConfig:
    return parse_config([], {})


@pytest.mark.parametrize("option", by_name(config().to_dict()))
def test_every_other_option_is_refused_by_name(option: str) -> None:
    now, before = config(), config().to_dict()
    set_option(before, option, "another")
    checkpoint = {"epoch": 0, "mtpsl": {"config": before}}
    if option in OTHER:
        assert [*changed_options(Path("run"), now, checkpoint)] == [option]
    else:
        with pytest.raises(UserError, match=rf"^run: {option} is .* but the run was trained with another"):
            changed_options(Path("run"), now, checkpoint)


PROCESSES = {"training.devices", "training.num_nodes", "training.strategy", "training.sync_batchnorm"}
NOT_BUILT = {*PROCESSES, "training.compile"}  # which start processes and compilers
NOT_HERE = {"data.root", "data.description", "data.labels", "data.label_cache"}  # other data or another layout


@pytest.mark.parametrize("option", sorted({*OTHER} - NOT_BUILT - NOT_HERE))
def test_a_changed_option_reaches_the_training(run: Path, used: list[Any], option: str) -> None:
    edit(run, {name: OTHER[name] for name in (option, WITH.get(option, option))})
    assert resume(run) == 0
    trainer, module, loaders = used
    before = by_name(of_checkpoint(run)["mtpsl"]["config"])[option]
    assert by_name(loaders.config.to_dict())[option] == OTHER[option]
    group, _, name = option.rpartition(".")
    if group == "training":
        assert as_plain(getattr(module.settings, name)) == OTHER[option]
    for_trainer = {
        "training.epochs": trainer.max_epochs,
        "training.clip": trainer.gradient_clip_val,
        "training.accumulate": trainer.accumulate_grad_batches,
        "training.validate_every": trainer.check_val_every_n_epoch,
        "training.precision": trainer.precision,
    }
    assert for_trainer.get(option, OTHER[option]) == OTHER[option]
    changes = json.loads((run / "environment.json").read_text())["changes"]
    assert {"after_epoch": 1, "option": option, "from": before, "to": OTHER[option]} in changes
    assert len(changes) == 1 + (option in WITH)


def test_the_epochs_left_are_trained_with_what_was_changed(run: Path) -> None:
    changes = ["training.lr", "training.weight_decay", "training.schedule", "training.batch_size", "training.epochs"]
    edit(run, {name: OTHER[name] for name in [*changes, "training.accumulate", "training.validate_every", "label"]})
    steps = of_checkpoint(run)["global_step"]
    assert resume(run) == 0
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    rates = [0.01, *(0.02 * (1 - epoch / 4) ** 0.9 for epoch in (1, 2, 3))]
    assert [float(row["lr"]) for row in rows] == pytest.approx(rates, rel=1e-5)
    assert [row["val/segmentation/miou"] != "" for row in rows] == [True] * 4
    last = of_checkpoint(run)
    groups = last["optimizer_states"][0]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.1] * len(groups)
    assert last["global_step"] == steps + 3 * 2  # 4 images, one per batch, two batches per step
    assert last["mtpsl"]["config"] == read_config(run / "config.yaml").to_dict()
    scores = json.loads((run / "scores.json").read_text())
    assert (scores["run"]["label"], scores["run"]["epochs"], scores["epoch"]) == ("ours", 4, 4)


def test_a_run_that_was_not_edited_goes_on_as_before(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (run / "config.yaml").read_text()
    assert resume(run) == 0
    assert "goes on with" not in capsys.readouterr().err
    assert (run / "config.yaml").read_text() == text
    assert "changes" not in json.loads((run / "environment.json").read_text())
    with (run / "metrics.csv").open() as file:  # halved after half of the epochs
        assert [float(row["lr"]) for row in csv.DictReader(file)] == [0.01, 0.01, 0.005]


def test_data_that_moved_is_named_with_the_option(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copytree(data_of(run), tmp_path / "moved")
    edit(run, {"data.root": str(tmp_path / "gone")})
    assert resume(run) == 2
    assert f"not at {tmp_path / 'gone'} any more: give its place now with --data.root" in capsys.readouterr().err
    assert resume(run, "--data.root", moved) == 0
    assert f"goes on with data.root {moved}" in capsys.readouterr().err
    assert read_config(run / "config.yaml").data.root == str(moved)
    assert json.loads((run / "scores.json").read_text())["run"]["root"] == str(moved)


def data_of(run: Path) -> Path:
    root = read_config(run / "config.yaml").data.root
    assert root is not None
    return Path(root)


def test_other_data_is_refused_and_nothing_is_written(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(data_of(run), tmp_path / "other")
    (other / "train" / "depth" / "002.png").unlink()
    text = (run / "config.yaml").read_text()
    assert resume(run, "--data.root", other) == 2
    assert "not those that it was trained on so far" in capsys.readouterr().err
    assert (run / "config.yaml").read_text() == text


REFUSED = {
    "fewer epochs": (
        {"training.epochs": 1, "training.lr": 1.0},
        "training.epochs is 1, but it was trained for 1",
    ),
    "another objective": ({"objective": "stl"}, "objective.name is stl now, but the run was trained with cross_task"),
    "another network": ({"network.width": 0.25}, "network.width is 0.25 now, but the run was trained with 0.125"),
    "other tasks": ({"tasks": ["depth"]}, "tasks is depth now, but the run was trained with null"),
    "another size": ({"data.size": [64, 64]}, "data.size is 64,64 now"),
}


@pytest.mark.parametrize(("values", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_change_is_refused_before_anything_is_written(
    run: Path, values: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(run, values)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert resume(run) == 2
    assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_after_the_last_epoch_only_names_and_places_change(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = of_checkpoint(run)
    content["mtpsl"]["config"]["training"]["epochs"] = 1
    torch.save(content, run / "checkpoints" / "last.ckpt")
    edit(run, {"training.epochs": 1})
    assert resume(run, "--training.lr", 1) == 2
    assert "to its last epoch with 0.01: change it back, or give more epochs" in capsys.readouterr().err
    assert resume(run, "--label", "ours") == 0
    assert "was trained to its last epoch already" in capsys.readouterr().out
    assert json.loads((run / "scores.json").read_text())["run"]["label"] == "ours"
    assert RunFolder(run).finished()
    assert resume(run, "--training.epochs", 2) == 0
    assert "already" not in capsys.readouterr().out
    assert load_run(run).epoch == 2


def test_a_run_killed_in_its_first_epoch_begins_anew_with_any_option(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    for name in ("metrics.csv", "scores.json"):
        (run / name).unlink()
    edit(run, {"tasks": ["depth"], "training.seed": 7, "objective": "supervised", "training.epochs": 1})
    assert resume(run) == 0
    assert [task.name for task in load_run(run).tasks] == ["depth"]
    assert json.loads((run / "environment.json").read_text())["seed"] == 7


def test_resume_takes_no_recipe_and_no_second_folder(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--out", "new"], ["--config", "demo"]):
        assert resume(run, *words) == 2
        assert "give no recipe, file or --out" in capsys.readouterr().err
