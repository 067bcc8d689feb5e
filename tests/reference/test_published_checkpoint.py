"""A checkpoint in the authors' file format becomes a run that computes what their code did."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden import golden_values, golden_weights
from PIL import Image
from test_golden import as_published, golden_batch, relative_error
from torch import Tensor, nn

from builders import SHARED, needs_shared
from mtpsl.cli import main
from mtpsl.training.published_checkpoint import read_published
from mtpsl.training.trained import TrainedRun, load_run

pytestmark = needs_shared


def save(path: Path, network: dict[str, Tensor], mapping: dict[str, Tensor] | None, **more: Any) -> Path:
    """As the authors' training scripts do, with the numbers that they keep in numpy's types."""
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(2, requires_grad=True))])
    content = {
        "epoch": 200,
        "state_dict": OrderedDict(network),
        "mapfns": mapping,
        "best_performance": np.float64(3.5),
        "optimizer": optimizer.state_dict(),
        "optimizer_film": optimizer.state_dict(),
        "avg_cost": np.zeros((200, 24), np.float32),
    }
    content |= more
    if mapping is None:
        del content["mapfns"]
    torch.save(content, path)
    return path


def hollow(part: str) -> dict[str, Tensor]:
    """The authors' keys and shapes in a file of a few bytes."""
    shapes = json.loads((SHARED / "golden" / "checkpoint_keys.json").read_text())[part]
    kinds = {key: torch.long if key.endswith("num_batches_tracked") else torch.float32 for key in shapes}
    return {key: torch.zeros((), dtype=kinds[key]).expand(shape) for key, shape in shapes.items()}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    folder = tmp_path_factory.mktemp("published")
    file = save(folder / "checkpoint.pth.tar", golden_weights("model"), golden_weights("mapfns"))
    assert main(["import-checkpoint", str(file), "--out", str(folder / "run")]) == 0
    file.unlink()
    assert [path.name for path in folder.iterdir()] == ["run"]
    return load_run(folder / "run")


@pytest.fixture(scope="module")
def values() -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.asarray(value)) for name, value in golden_values().items()}


def test_predictions_and_losses_of_the_imported_run_are_the_published_ones(
    imported: TrainedRun, values: dict[str, Tensor]
) -> None:
    with torch.no_grad():
        output = imported.network(values["image"])
    batch = golden_batch(values)
    for name, prediction in as_published(output.predictions).items():
        assert relative_error(prediction[..., ::4, ::4], values[f"eval_{name}"]) < 1e-4
    for task in imported.tasks:
        loss = task.loss(output.predictions[task.name], batch.targets[task.name], batch.valid[task.name])
        pixels = batch.valid[task.name].sum((1, 2))
        assert relative_error((loss * pixels).sum() / pixels.sum(), values[f"supervised_loss_{task.name}"]) < 1e-4
    terms = imported.objective.consistency(
        as_published(output.predictions), output.features[-1], golden_batch(values, ["segmentation"])
    )
    weight = imported.objective.weight
    total = torch.stack(list(terms.values())).sum()
    assert weight == 2
    assert relative_error(total / weight, values["cross_task_seg_labelled_reg0.5"].mean()) < 1e-4


def test_the_imported_run_says_what_it_is(imported: TrainedRun) -> None:
    config = imported.config
    assert imported.epoch == 200
    assert [task.name for task in imported.tasks] == ["segmentation", "depth", "normals"]
    assert (config.data.name, config.data.regime, config.method) == ("nyuv2", "full", "published cross_task")
    assert imported.sizes.size == (288, 384)


def cityscapes(with_mapping: bool = True) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """What the authors' code saves for two tasks: their network keeps parts that it never uses."""
    network, mapping = hollow("model"), hollow("mapfns")
    del network["logsigma"]
    network["conv_block_dec.4.1.0.weight"] = torch.randn(512, 512, 3, 3)
    mapping["mapfns.conv_block_enc.2.0.gamma"] = torch.randn(256, 6)
    network["logsigma_dist"] = torch.zeros(6)
    network |= {"pred_task1.1.weight": torch.randn(7, 64, 1, 1), "pred_task1.1.bias": torch.randn(7)}
    network["con_tasks.pred_encoder_target.0.0.weight"] = torch.randn(64, 7, 3, 3)
    mapping = {key: x for key, x in mapping.items() if ".pred_encoder_source.2." not in key}
    mapping["mapfns.pred_encoder_source.0.0.weight"] = torch.randn(64, 7, 3, 3)
    for key in mapping:
        if key.endswith((".gamma", ".beta")):
            mapping[key] = mapping[key][:, :2]
    return network, mapping if with_mapping else None


@pytest.mark.parametrize("with_mapping", [True, False])
def test_a_cityscapes_checkpoint_has_two_tasks(tmp_path: Path, with_mapping: bool) -> None:
    network, mapping = cityscapes(with_mapping)
    file = save(tmp_path / "c.pth.tar", network, mapping, epoch=7)
    assert main(["import-checkpoint", str(file), "--out", str(tmp_path / "run"), "--data.root", str(tmp_path)]) == 0
    run = load_run(tmp_path / "run")
    segmentation, depth = run.tasks
    assert (segmentation.out_channels, depth.options()["inverse"], run.epoch) == (7, True, 7)
    assert run.config.training.epochs == 7  # it is complete: there is nothing to go on with
    assert (run.config.data.name, run.config.data.root) == ("cityscapes_mtan", str(tmp_path))
    assert torch.equal(run.network.heads["segmentation"][1].weight, network["pred_task1.1.weight"])
    assert torch.equal(run.network.decoder[4][6].weight, network["conv_block_dec.4.1.0.weight"])
    assert run.config.objective == ("cross_task" if with_mapping else "supervised")
    if mapping is not None:
        gamma = run.objective.mapping.stages[2][1].norm.gamma
        assert torch.equal(gamma.T, mapping["mapfns.conv_block_enc.2.0.gamma"])


def test_an_imported_run_is_evaluated_and_predicts(
    imported: TrainedRun, values: dict[str, Tensor], tmp_path: Path
) -> None:
    names = {"image": "image", "label": "segmentation", "depth": "depth", "normal": "normals"}
    arrays = {folder: values[name][0].numpy() for folder, name in names.items()}
    arrays["image"] = arrays["image"].clip(0, 1)
    for folder, array in arrays.items():
        (tmp_path / "val" / folder).mkdir(parents=True)
        np.save(tmp_path / "val" / folder / "0.npy", array if array.ndim == 2 else np.moveaxis(array, 0, -1))
    config = imported.folder.config.read_text()
    imported.folder.config.write_text(config.replace("- 288", "- 64").replace("- 384", "- 96"))  # for speed
    assert main(["evaluate", str(imported.folder.path), "--data.root", str(tmp_path)]) == 0
    imported.folder.config.write_text(config)
    scores = json.loads(imported.folder.scores.read_text())
    assert (scores["run"]["label"], scores["run"]["complete"], scores["epoch"]) == ("published cross_task", True, 200)
    assert main(["compare", str(imported.folder.path)]) == 0
    picture = tmp_path / "picture.png"
    Image.new("RGB", (40, 30)).save(picture)
    assert main(["predict", str(imported.folder.path), str(picture), "--out", str(tmp_path / "out")]) == 0
    assert np.load(tmp_path / "out" / "depth" / "picture.npy").shape == (30, 40)


def test_a_checkpoint_of_unequal_shares_says_so(tmp_path: Path) -> None:
    file = save(tmp_path / "c.pth.tar", *cityscapes())
    words = ["--data.regime", "ratio", "--data.ratio", "[1,9]"]
    assert main(["import-checkpoint", str(file), "--out", str(tmp_path / "run"), *words]) == 0
    data = load_run(tmp_path / "run").config.data
    assert (data.regime_name, data.classes) == ("ratio 1:9", 7)


@pytest.mark.parametrize("version", [1, 2])
def test_numbers_of_either_numpy_are_accepted(tmp_path: Path, version: int) -> None:
    file = save(tmp_path / "new.pth", hollow("model"), hollow("mapfns"))
    if version == 1:  # its modules had other names
        with zipfile.ZipFile(file) as new, zipfile.ZipFile(tmp_path / "old.pth", "w") as old:
            for name in new.namelist():
                content = new.read(name)
                if name.endswith("data.pkl"):
                    assert content.count(b"cnumpy._core.multiarray\n") == 2
                    content = content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
                old.writestr(name, content)
        file = tmp_path / "old.pth"
    published = read_published(file)
    assert (published.epoch, published.num_tasks, published.num_classes) == (200, 3, 13)


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def spoiled(kind: str, path: Path) -> None:
    """A file that is not what it should be."""
    network, mapping = hollow("model"), hollow("mapfns")
    if kind == "missing":
        del network["conv_block_enc.3.1.0.weight"]
    elif kind == "foreign":
        network["backbone.weight"] = torch.zeros(1)
    elif kind == "other network":
        network = {"conv1.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}
    elif kind == "wide":
        network["encoder_block.4.0.weight"] = torch.zeros(()).expand(1024, 512, 3, 3)
    elif kind == "mapping of two":
        mapping["mapfns.encoder_block.0.gamma"] = torch.zeros(64, 2)
    elif kind == "mapping without an input":
        mapping = {key: x for key, x in mapping.items() if ".pred_encoder_source.1." not in key}
    save(path, network, mapping)
    if kind == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "text":
        path.write_text("not a checkpoint")
    elif kind == "tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "weights alone":
        torch.save(network, path)
    elif kind == "malicious":
        torch.save({"state_dict": Malicious(path.with_name("touched"))}, path)
    elif kind == "malicious by numpy":
        torch.save({"state_dict": network, "avg_cost": np.array([Malicious(path.with_name("touched"))])}, path)
    elif kind == "malicious pickle":
        path.write_bytes(pickle.dumps({"state_dict": Malicious(path.with_name("touched"))}))
    elif kind == "ours":
        torch.save({"state_dict": network, "pytorch-lightning_version": "2.6.6"}, path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "it has no 'conv_block_enc.3.1.0.weight'"),
        ("foreign", "it has 'backbone.weight', which that network does not have"),
        ("other network", "`state_dict` holds conv1.weight, fc.bias; needed is"),
        ("wide", "encoder_block.4.0.weight should have shape (512, 512, 3, 3), not (1024, 512, 3, 3)"),
        ("mapping of two", "mapfns.encoder_block.0.gamma should have shape (64, 6), not (64, 2)"),
        ("mapping without an input", "it has no 'mapfns.pred_encoder_source.1.0.weight'"),
        ("half", "cannot be loaded safely"),
        ("text", "cannot be loaded safely"),
        ("tensor", "holds a Tensor"),
        ("weights alone", "holds logsigma, encoder_block.0.0.weight"),
        ("malicious", "cannot be loaded safely"),
        ("malicious by numpy", "cannot be loaded safely"),
        ("malicious pickle", "cannot be loaded safely"),
        ("ours", "use its run folder"),
    ],
)
def test_anything_else_is_refused_in_one_line_and_leaves_nothing(
    kind: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.pth.tar"
    spoiled(kind, file)
    assert main(["import-checkpoint", str(file), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file.pth.tar"]


def test_an_out_folder_that_holds_something_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    assert main(["import-checkpoint", str(tmp_path / "none"), "--out", str(tmp_path / "run")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["import-checkpoint", str(tmp_path / "none"), "--out", str(tmp_path / "new")]) == 2
    assert "there is no such file" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "mine.txt"]
