"""Code of one's own, FILE.py:Class, through the command line: it trains, continues, is scored and predicts."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from command import write_dataset
from PIL import Image

import mtpsl
from mtpsl.cli import main
from mtpsl.plugins.modules import IMPORTED, VARIABLE, known

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALL = [
    "--training.epochs",
    "1",
    "--training.batch_size",
    "2",
    "--training.precision",
    "32",
    "--training.sheets",
    "1",
    "--quiet",
]
NETWORK = ["--network", "segnet", "--network.width", "0.125"]
OBJECTIVE = ["--objective", "supervised"]


def forget() -> None:
    """As in a new process: no file was run yet."""
    for name in [*IMPORTED, *known()]:
        sys.modules.pop(name, None)
    IMPORTED.clear()
    os.environ.pop(VARIABLE, None)


@pytest.fixture(autouse=True)
def nothing_is_imported() -> Iterator[None]:
    forget()
    yield
    forget()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Pictures with three tasks."""
    return write_dataset(tmp_path / "data", train=4, val=2, size=(32, 64))


def listed(root: Path, _: Path) -> list[str]:
    """The data set that examples/own_dataset.py reads."""
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        names = [f"{split}{number}" for number in range(count)]
        for folder in ("photos", "range"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            Image.fromarray(random.integers(0, 256, (32, 64, 3), np.uint8)).save(root / "photos" / f"{name}.jpg")
            depth = random.integers(500, 3000, (32, 64)).astype(np.uint16)
            Image.fromarray(depth).save(root / "range" / f"{name}.png")
    return ["--data.name", f"{EXAMPLES / 'own_dataset.py'}:ListedPhotos", "--data.options.unit", "0.002", *NETWORK]


def with_task(root: Path, data: Path) -> list[str]:
    """Depth as the task of examples/own_task.py, which lies beside dataset.yaml."""
    shutil.copytree(data, root)
    shutil.copy(EXAMPLES / "own_task.py", root)
    for split in ("train", "val"):
        (root / split / "depth").rename(root / split / "height")
    height = {"type": "own_task.py:RelativeNumbers", "unit": "cm", "scale": 0.1, "missing": 0, "floor": 2.0}
    tasks = yaml.safe_load((data / "dataset.yaml").read_text())["tasks"]
    description = {"name": "plants", "tasks": {"segmentation": tasks["segmentation"], "height": height}}
    (root / "dataset.yaml").write_text(yaml.safe_dump(description))
    return [*NETWORK, *OBJECTIVE, "--trust-code"]


def with_network(root: Path, data: Path) -> list[str]:
    """The network of examples/own_network.py."""
    shutil.copytree(data, root)
    return ["--network", f"{EXAMPLES / 'own_network.py'}:Dilated", "--network.width", "8", *OBJECTIVE]


def with_objective(root: Path, data: Path) -> list[str]:
    """The objective of examples/own_objective.py."""
    shutil.copytree(data, root)
    objective = f"{EXAMPLES / 'own_objective.py'}:MirrorConsistency"
    return [f"--objective={objective}", "--objective.weight", "0.5", *NETWORK]


def run(*words: object) -> int:
    """The command line's exit status."""
    return main([str(word) for word in words])


@pytest.mark.parametrize("prepare", [with_objective, with_network, with_task, listed])
def test_an_example_trains_continues_is_scored_and_predicts(
    prepare: Callable[[Path, Path], list[str]],
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, out = tmp_path / "mine", tmp_path / "run"
    options = prepare(root, data)
    if prepare is listed:
        options += OBJECTIVE
    assert run("train", "--data.root", root, "--out", out, *options, *SMALL) == 0, capsys.readouterr().err
    stored = yaml.safe_load((out / "config.yaml").read_text())
    ((file, digest),) = stored["code"].items()
    assert Path(file).is_file()
    assert Path(file).is_absolute()
    (copy,) = (out / "code").iterdir()
    assert copy.read_bytes() == Path(file).read_bytes()
    assert digest[:8] in copy.name
    before = json.loads((out / "scores.json").read_text())

    forget()
    capsys.readouterr()
    assert run("evaluate", out) == 2
    said = capsys.readouterr().err
    assert file in said
    assert "--trust-code" in said
    assert "not run unless you trust it" in said
    assert not IMPORTED
    assert run("evaluate", out, "--trust-code") == 0
    assert json.loads((out / "scores.json").read_text())["scores"] == before["scores"]

    forget()
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (50, 40)).save(pictures / "a.png")
    assert run("predict", out, pictures, "--out", tmp_path / "out", "--trust-code") == 0
    assert list((tmp_path / "out").glob("*/a.*"))

    forget()
    resume = ["train", "--resume", out, "--training.epochs", "2", "--quiet"]
    assert run(*resume) == 2
    assert run(*resume, "--trust-code") == 0
    assert json.loads((out / "scores.json").read_text())["epoch"] == 2
    again = yaml.safe_load((out / "config.yaml").read_text())
    assert again == {**stored, "training": {**stored["training"], "epochs": 2}}


def test_what_a_data_set_names_is_run_only_with_trust(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = tmp_path / "mine"
    with_task(root, data)
    out, names = tmp_path / "out", f"{root / 'dataset.yaml'} names code, {root / 'own_task.py'} (RelativeNumbers)"
    for command in (["check", root], ["convert", root, out], ["train", "--data.root", root, "--out", out]):
        assert run(*command) == 2
        assert names in capsys.readouterr().err
    assert not IMPORTED
    assert not out.exists()
    assert run("check", root, "--trust-code") == 0
    for form in ("packed", "shards", "folder"):
        assert run("convert", root, tmp_path / form, "--to", form, "--trust-code") == 0
        assert run("check", tmp_path / form, "--trust-code") == 0
    description = (root / "dataset.yaml").read_text()
    for wrong, said in (("floor: 2.0", "floor: [1]"), ("floor: 2.0", "floor: -1.0"), ("floor: 2.0", "flor: 1.0")):
        (root / "dataset.yaml").write_text(description.replace(wrong, said))
        capsys.readouterr()
        assert run("check", root, "--trust-code") == 2
        error = capsys.readouterr().err
        assert said.partition(":")[0] in error
        assert error.count("\n") == 1


def test_a_recipe_names_code_beside_it_and_a_changed_file_is_not_continued_with(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file, out = tmp_path / "own_weighting.py", tmp_path / "run"
    text = "from mtpsl import Uniform\n\n\nclass Halved(Uniform):\n    pass\n"
    file.write_text(text)
    (tmp_path / "recipe.yaml").write_text("weighting: own_weighting.py:Halved\nobjective: supervised\n")
    words = ["train", tmp_path / "recipe.yaml", "--data.root", data, "--out", out, *NETWORK, *SMALL]
    assert run(*words) == 2
    assert f"recipe.yaml names code, {file} (Halved)" in capsys.readouterr().err
    assert not out.exists()
    assert run(*words, "--trust-code") == 0
    assert json.loads((out / "scores.json").read_text())["run"]["label"] == "supervised + Halved"

    forget()
    with pytest.raises(mtpsl.UserError, match="trust_code=True"):
        mtpsl.load(out)
    assert mtpsl.load(out, trust_code=True).epoch == 1
    forget()
    file.write_text(text.replace("pass", "value = 2"))
    resume = ["train", "--resume", out, "--training.epochs", "2", "--quiet"]
    capsys.readouterr()
    assert run(*resume, "--weighting", f"{file}:Halved") == 2
    assert "was changed since the run was trained with it" in capsys.readouterr().err
    assert run(*resume, "--trust-code") == 0  # with the copy
    file.unlink()
    shutil.rmtree(out / "code")
    forget()
    capsys.readouterr()
    assert run("evaluate", out, "--trust-code") == 2
    assert "there is no such file, nor its copy" in capsys.readouterr().err
