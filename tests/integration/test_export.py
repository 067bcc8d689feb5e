"""`mtpsl export`: what other programs compute with the file is what the network says."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from command import mtpsl as command_line
from command import write_dataset
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

import mtpsl
from made_runs import make_run
from mtpsl import SegNet
from mtpsl.cli import main
from mtpsl.inference.export import build

TASKS = ["segmentation", "depth", "normals"]
SIZE = (64, 96)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("export")
    data = write_dataset(root / "data", train=2, val=2, size=SIZE)
    folder = make_run(root / "run", ["--data.root", str(data), "--tasks", ",".join(TASKS)])
    folder.write_images(mtpsl.TrainingSizes.count(SIZE, [(80, 120)]))
    return folder.path


def unchecked(*arguments: object) -> str:
    """What a command prints in a process of its own: checks of shapes would ask torch for the sizes that may vary."""
    done = command_line(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def said(run: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """What the network says of bytes, decoded here by hand."""
    with torch.no_grad():
        raw = mtpsl.load_run(run).network(torch.from_numpy(images).permute(0, 3, 1, 2) / 255).predictions
    normals = raw["normals"].numpy()
    return {
        "segmentation": raw["segmentation"].argmax(1).numpy(),
        "depth": np.maximum(raw["depth"][:, 0].numpy(), 0),
        "normals": (normals / np.linalg.norm(normals, axis=1, keepdims=True)).transpose(0, 2, 3, 1),
    }


def test_onnx_runtime_says_the_same_of_images_of_any_number_and_size(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "network.onnx"
    out = unchecked("export", run, "--out", file)
    assert "any number of images of any height and width" in out
    assert "on 2 validation images of 64x96" in out
    session = onnxruntime.InferenceSession(file)
    assert list(session.get_inputs()[0].shape) == ["batch", "height", "width", 3]
    images = np.random.default_rng(0).integers(0, 256, (3, 45, 33, 3)).astype(np.uint8)
    assert {output.name for output in session.get_outputs()} == {*TASKS}
    found = dict(zip(TASKS, session.run(TASKS, {"image": images}), strict=True))
    expected = said(run, images)
    assert found["segmentation"].dtype == np.uint8
    assert (found["segmentation"] == expected["segmentation"]).mean() > 0.999
    np.testing.assert_allclose(found["depth"], expected["depth"], atol=1e-5)
    np.testing.assert_allclose(found["normals"], expected["normals"], atol=1e-2)
    # what it says of itself
    head = json.loads(session.get_modelmeta().custom_metadata_map["mtpsl"])
    tasks = {one["name"]: one for one in head["tasks"]}
    assert tasks.keys() == {*TASKS}
    assert tasks["segmentation"]["class_names"] == ["a", "b", "c"]
    assert tasks["depth"]["meaning"] == "depth along the optical axis in m"
    assert head["training_size"] == [*SIZE]
    assert head["input"]["shape"] == ["batch", "height", "width", 3]
    assert head["input"]["size"] == [*SIZE]
    content = file.read_bytes()
    assert not [place for place in (run.parent, Path(mtpsl.__file__).parent) if str(place).encode() in content]
    # with numpy alone
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (*SIZE, 3)).astype(np.uint8)).save(picture)
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "onnx_inference.py"))
    example["main"](str(file), str(picture))
    assert "depth: (64, 96), depth along the optical axis in m" in capsys.readouterr().out
    values, _ = example["predict"](str(file), str(picture))
    for task, array in mtpsl.load(run, device="cpu").predict(picture).items():
        assert values[task].shape == array.shape
        assert values[task].dtype == array.dtype
        assert np.abs(values[task] - array).mean() < 1e-3, task
    assert main(["export", str(run), "--out", str(file)]) == 2
    assert "exists: choose another --out" in capsys.readouterr().err


def test_int8_is_smaller_and_its_scores_stand_beside(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "network.onnx"
    assert main(["export", str(run), "--out", str(file), "--int8", "--size", "64,96"]) == 0
    out = capsys.readouterr().out
    assert "any number of images of 64x96" in out
    assert "scores on 2 validation images" in out
    assert "fp32" in out
    assert "miou" in out
    session = onnxruntime.InferenceSession(file)
    assert {output.name for output in session.get_outputs()} == {*TASKS}
    assert json.loads(session.get_modelmeta().custom_metadata_map["mtpsl"])["int8"] is True
    weights = sum(x.numel() for x in mtpsl.load_run(run).network.parameters())
    assert file.stat().st_size < 2 * weights
    images = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3)).astype(np.uint8)
    assert session.run(["depth"], {"image": images})[0].shape == (2, *SIZE)


def test_a_program_of_torch_export_says_the_same_of_images_that_its_stride_divides(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "network.pt2"
    unchecked("export", run, "--out", file, "--raw")
    extra = {"mtpsl.json": ""}
    program = torch.export.load(file, extra_files=extra).module()
    images = torch.rand(3, 3, 96, 160)
    with torch.no_grad():
        found, expected = program(images), mtpsl.load_run(run).network(images).predictions
    assert found.keys() == {*TASKS}
    for task, values in found.items():
        torch.testing.assert_close(values, expected[task], atol=1e-5, rtol=1e-4)
    head = json.loads(extra["mtpsl.json"])
    assert head["input"] == {
        "name": "images",
        "type": "float32",
        "shape": ["batch", 3, "height", "width"],
        "meaning": "RGB from 0 to 1",
        "size": [*SIZE],
        "multiples": 32,
    }
    decoding = {one["name"]: one["decoding"] for one in head["tasks"]}
    assert decoding["segmentation"] == "the channel with the largest value is the class"
    assert str(Path(mtpsl.__file__).parent).encode() not in file.read_bytes()


def test_weights_make_a_network_that_says_the_same(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "network.safetensors"
    assert main(["export", str(run), "--out", str(file)]) == 0
    with safe_open(file, "pt") as opened:
        head = json.loads(opened.metadata()["mtpsl"])
    assert head["network"] == {"name": "segnet", "width": 0.125}
    network = SegNet({one["name"]: one["out_channels"] for one in head["tasks"]}, width=head["network"]["width"])
    network.load_state_dict(load_file(file))
    images = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        found, expected = network.eval()(images), mtpsl.load_run(run).network(images)
    assert all(torch.equal(found.predictions[task], expected.predictions[task]) for task in TASKS)


def test_without_the_data_it_is_compared_on_noise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "run", ["--data.root", str(run.parent / "data"), "--tasks", "depth"])
    config = folder.config.read_text().replace(str(run.parent / "data"), str(tmp_path / "gone"))
    folder.config.write_text(config)
    assert main(["export", str(folder.path), "--out", str(tmp_path / "a.onnx"), "--int8", "--size", "32,64"]) == 2
    assert "--int8 measures activations on the run's images" in capsys.readouterr().err
    assert main(["export", str(folder.path), "--out", str(tmp_path / "a.pt2")]) == 2
    assert "give --size HEIGHT,WIDTH" in capsys.readouterr().err
    options = ["--out", str(tmp_path / "a.pt2"), "--size", "32,64"]
    assert main(["export", str(folder.path), *options]) == 0
    out = capsys.readouterr().out
    assert f"compared on noise: its data cannot be read ({tmp_path / 'gone'}" in out
    assert "on 8 noise images of 32x64" in out
    # and a file that says something else is not kept, while the old one is
    before = (tmp_path / "a.pt2").read_bytes()
    noise = np.random.default_rng(0)
    monkeypatch.setattr(build, "as_arrays", lambda module: lambda images: {"depth": noise.random((1, 32, 64))})
    assert main(["export", str(folder.path), *options, "--overwrite"]) == 2
    assert "says something else than the network: depth: " in capsys.readouterr().err
    assert (tmp_path / "a.pt2").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pt2", "run"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "a.tflite"], "the ending says what is written: it should be one of .onnx, .pt2, .safetensors"),
        (["--out", "a.safetensors", "--raw"], "--raw does not apply to weights alone"),
        (["--out", "a.safetensors", "--size", "32,64"], "--size does not apply to weights alone"),
        (["--out", "a.pt2", "--int8"], "--int8 needs ONNX Runtime: write .onnx"),
        (["--out", "a.onnx", "--int8", "--raw"], "leave out --raw"),
        (["--out", "a.onnx", "--images", "0"], "--images should be at least 1, not 0"),
        (["--out", "a.onnx", "--tolerance", "-1"], "--tolerance should be 0 or more, not -1.0"),
        (["--out", "a.onnx", "--tolerance", "nan"], "--tolerance should be a number, not nan"),
        (["--out", "a.onnx", "--tolerance", "inf"], "--tolerance should be"),
        (["--out", "a.onnx", "--size", "0,64"], "--size should be positive, not 0,64"),
        (["--out", "a.onnx", "--size", "64"], "--size should be two whole numbers such as 96,128, not 64"),
        (["--out", "folder.onnx"], "is a folder"),
        (["--out", "a.pt2", "--data.root", "nowhere"], "nowhere"),
        ([], "--out is missing"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    run: Path,
    tmp_path: Path,
    options: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.onnx").mkdir()
    assert main(["export", str(run), *options]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["folder.onnx"]


def test_half_a_run_and_a_missing_package_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "a.onnx")
    (tmp_path / "none").mkdir()
    assert main(["export", str(tmp_path / "none"), "--out", out]) == 2
    assert "is not a run folder" in capsys.readouterr().err
    half = make_run(tmp_path / "half", ["--data.root", str(run.parent / "data"), "--tasks", "depth"])
    half.checkpoint.write_bytes(half.checkpoint.read_bytes()[:1000])
    assert main(["export", str(half.path), "--out", out]) == 2
    assert "it is damaged or foreign" in capsys.readouterr().err
    half.checkpoint.unlink()
    assert main(["export", str(half.path), "--out", out]) == 2
    assert "has no checkpoint yet" in capsys.readouterr().err
    monkeypatch.setattr("mtpsl.inference.export.packages.find_spec", lambda name: None if name == "onnx" else name)
    assert main(["export", str(run), "--out", out]) == 2
    assert ".onnx needs onnx: pip install 'mtpsl[export]' brings all it takes" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half", "none"]
