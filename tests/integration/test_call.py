"""`mtpsl.train` from Python: names and objects, one path to a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from command import write_dataset
from torch import nn

import mtpsl
from mtpsl.call import chosen, pair
from mtpsl.cli import main
from mtpsl.data import FolderDataset
from mtpsl.objectives import LossOptions
from mtpsl.training.config import names
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.settings import TrainingSettings

SMALL: dict[str, Any] = {"epochs": 1, "batch_size": 2, "sheets": 0, "accelerator": "cpu", "progress": False}
SMALL |= {"precision": "32", "channels_last": False}  # measured (auto), two runs' choices may differ by noise
SEGNET = {"name": "segnet", "width": 0.125}


class Tiny(nn.Module):
    """A network of one's own that inherits from nothing."""

    stride, feature_channels = 4, 8

    def __init__(self, out_channels: dict[str, int]) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 8, 4, stride=4)
        self.last = nn.ModuleDict({name: nn.ConvTranspose2d(8, c, 4, stride=4) for name, c in out_channels.items()})

    def forward(self, images: torch.Tensor) -> mtpsl.Output:
        features = self.encoder(images)
        return mtpsl.Output({name: head(features) for name, head in self.last.items()}, [features])


class Weighted(mtpsl.Supervised):
    """An objective of one's own."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("set") / "data", train=4, val=2, size=(32, 64))


def test_names_give_the_run_that_the_command_line_gives(data: Path, tmp_path: Path):
    words = ["--network", "segnet", "--network.width", "0.125", "--objective", "supervised", "--tasks", "depth,normals"]
    options = ["--training.epochs", "1", "--training.batch_size", "2", "--training.sheets", "0", "--quiet"]
    options += ["--training.precision", "32", "--training.channels_last", "false"]
    rest = ["--training.accelerator", "cpu", "--data.root", str(data), "--out", str(tmp_path / "a")]
    assert main(["train", *words, *options, *rest]) == 0
    run = mtpsl.train(data, tmp_path / "b", network=SEGNET, objective="supervised", tasks=["depth", "normals"], **SMALL)
    assert isinstance(run, mtpsl.TrainedRun)
    configs = [(tmp_path / name / "config.yaml").read_text() for name in "ab"]
    assert configs[0] == configs[1]
    pictures = np.random.default_rng(0).random((40, 50, 3))
    first = mtpsl.load(tmp_path / "a", device="cpu").predict(pictures)
    assert np.array_equal(first["depth"], run.predict(pictures)["depth"])


def test_objects_are_trained_and_the_folder_says_what_it_lacks(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    sets = FolderDataset(data, "train", tasks=["depth"]), FolderDataset(data, "val", tasks=["depth"])
    network = Tiny({"depth": 1})
    before = network.encoder.weight.detach().clone()
    out = tmp_path / "run"
    run = mtpsl.train(sets, out, network=network, objective=Weighted, weighting=mtpsl.Uniform, **SMALL)
    assert run.network is network
    assert not torch.equal(before, network.encoder.weight)
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["network"] == {"name": "object:Tiny"}
    assert config["objective"] == {"name": "object:Weighted"}
    assert config["weighting"] == {"name": "uniform"}
    assert config["data"]["name"] == "object:FolderDataset"
    with pytest.raises(
        mtpsl.UserError, match=r"object in Python \(Tiny\), which the folder does not hold.*network=\.\.\."
    ):
        mtpsl.load(out)
    again = mtpsl.load(out, network=Tiny({"depth": 1}), device="cpu")
    picture = np.random.default_rng(0).random((40, 50, 3))
    assert np.array_equal(again.predict(picture)["depth"], run.predict(picture)["depth"])
    with pytest.raises(mtpsl.UserError, match="objective Weighted was given as an object in Python"):
        _ = again.objective
    assert main(["train", "--resume", str(out), "--training.epochs", "2", "--quiet"]) == 2
    assert "Python" in capsys.readouterr().err
    assert main(["evaluate", str(out)]) == 2
    assert "mtpsl.load" in capsys.readouterr().err
    assert main(["compare", str(out)]) == 0
    assert "Weighted" in capsys.readouterr().out


def test_an_objective_instance_is_trained_as_it_is(data: Path, tmp_path: Path):
    network = Tiny({"depth": 1})
    tasks = [FolderDataset(data, "train").tasks["depth"]]
    objective = Weighted(tasks, network, losses=LossOptions(task_weights={"depth": 2.0}))
    run = mtpsl.train(data, tmp_path / "run", network=network, objective=objective, tasks=["depth"], **SMALL)
    assert run.epoch == 1
    assert not network.training
    settings = DataSettings(root=str(data), tasks=["depth"], limit=2)
    again = mtpsl.train(settings, tmp_path / "two", network=network, tasks=["depth"], **SMALL)
    assert again.config.data.limit == 2


def test_a_network_that_was_used_before_is_trained_in_training_mode(data: Path, tmp_path: Path):
    network = Tiny({"depth": 1}).eval()
    modes: list[bool] = []
    network.encoder.register_forward_hook(lambda module, given, out: modes.append(module.training))
    mtpsl.train(data, tmp_path / "run", network=network, tasks=["depth"], **SMALL)
    assert True in modes


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "setting": ({"epoch": 3}, "epoch is unknown: did you mean epochs?"),
    "mapping": ({"objective": {"weight": 3}}, "objective should have a name beside its options"),
    "option": ({"network": {"name": "segnet", "wdith": 1}}, "--network.wdith is unknown: did you mean --network.width"),
    "value": ({"lr": "fast"}, "--training.lr should be a number, not fast"),
    "outputs": ({"network": Tiny({"depth": 2, "normals": 3, "segmentation": 3})}, "should predict depth of shape"),
    "no output": ({"network": nn.Conv2d(3, 1, 1)}, "network Conv2d should return an Output, not Tensor"),
    "file": ({"objective": "none.py:Mine"}, "none.py: there is no such file"),
}


@pytest.mark.parametrize(("wrong", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_and_leaves_nothing_behind(wrong: dict[str, Any], said: str, data: Path, tmp_path: Path):
    with pytest.raises(mtpsl.UserError) as error:
        mtpsl.train(data, tmp_path / "run", **{"network": SEGNET, **SMALL, **wrong})
    assert said in str(error.value)
    assert not (tmp_path / "run").exists()


def test_data_sets_as_objects_are_two_and_take_no_settings_of_files(data: Path, tmp_path: Path):
    one = FolderDataset(data, "train")
    with pytest.raises(mtpsl.UserError, match=r"two data sets \(training, validation\)"):
        pair((one,))
    with pytest.raises(mtpsl.UserError, match="size does not apply to data sets that are given as objects"):
        mtpsl.train((one, one), tmp_path / "run", size=(32, 32))


@pytest.mark.parametrize(("group", "value"), [("network", 3), ("network", Tiny), ("objective", nn.Identity())])
def test_what_is_neither_a_name_nor_an_object_is_refused(group: str, value: Any):
    with pytest.raises(mtpsl.UserError, match=f"{group} should be a name, a mapping or "):
        chosen(group, value)


def test_no_setting_has_two_meanings_but_tasks():
    assert not {*names(DataSettings)} & {*names(TrainingSettings)}
