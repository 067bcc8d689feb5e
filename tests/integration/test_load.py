"""A run in Python: `mtpsl.load(run).predict(image)` gives what `mtpsl predict` writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command import PLAIN, write_dataset
from PIL import Image

import mtpsl
from made_runs import SMALL, make_run
from mtpsl.cli import main
from mtpsl.errors import UserError
from mtpsl.training.data import open_split

TRAINED = [
    *SMALL,
    "--objective",
    "supervised",
    "--training.scales",
    "[1]",
    "--training.sheets",
    "0",
    "--training.accelerator",
    "cpu",
]
OPTIONS = ["--tasks", '["segmentation","depth","normals"]']


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("load")
    data = write_dataset(root / "data", train=1, val=1)
    folder = make_run(root / "run", ["--data.root", str(data), *OPTIONS])
    folder.write_images(mtpsl.TrainingSizes.count((32, 64), [(40, 50), (50, 40)]))
    return folder.path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Odd sizes, gray, 16 bits, transparent, turned, and what is no picture."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, size, channels, kind, options in (
        ("odd.png", (45, 101), (3,), np.uint8, {}),
        ("tiny.png", (1, 3), (3,), np.uint8, {}),
        ("gray.png", (50, 40), (), np.uint8, {}),
        ("sixteen.png", (33, 47), (), np.uint16, {}),
        ("clear.png", (30, 31), (4,), np.uint8, {}),
        ("sub/turned.jpg", (20, 30), (3,), np.uint8, {"exif": exif}),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        values = random.integers(0, np.iinfo(kind).max, (*size, *channels)).astype(kind)
        Image.fromarray(values).save(folder / name, **options)
    for name in ("notes.txt", "sub/list.csv", "sub/other.csv", ".hidden"):
        (folder / name).write_text("no picture")
    return folder


def written(folder: Path, name: str) -> dict[str, np.ndarray]:
    """What `mtpsl predict` wrote of one picture."""
    found = {task: np.load(folder / task / f"{name}.npy") for task in ("depth", "normals")}
    return {"segmentation": np.asarray(Image.open(folder / f"segmentation/{name}.png")), **found}


@pytest.mark.parametrize("tile", [None, 32])
def test_python_gives_to_the_bit_what_the_command_writes(
    run: Path, pictures: Path, tmp_path: Path, tile: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [] if tile is None else ["--tile", str(tile)]
    assert main(["predict", str(run), str(pictures), "--out", str(tmp_path / "out"), *options]) == 0
    assert "passed over 3 files that are no pictures (2 .csv, 1 .txt)" in capsys.readouterr().out
    loaded = mtpsl.load(run, device="cpu")
    found = loaded.predict(pictures, tile=tile)
    assert [*found] == ["clear", "gray", "odd", "sixteen", "sub/turned", "tiny"]
    for name, prediction in found.items():
        file = next(pictures.glob(f"{name}.*"))
        with Image.open(file) as opened:
            opened.load()
        ways = [prediction, loaded.predict(file, tile=tile), *loaded.predict([opened, str(file)], tile=tile)]
        if name != "sub/turned":  # an array has no EXIF entry
            ways.append(loaded.predict(np.asarray(opened), tile=tile))
        expected = written(tmp_path / "out", name)
        size = (opened.width, opened.height) if name == "sub/turned" else (opened.height, opened.width)
        for way in ways:
            assert [*way] == ["depth", "normals", "segmentation"]
            for task, values in way.items():
                assert values.shape == ((*size, 3) if task == "normals" else size)
                assert values.dtype == expected[task].dtype
                assert values.tobytes() == expected[task].tobytes(), (name, task)


def test_arrays_of_any_kind_are_the_same_image(run: Path) -> None:
    loaded = mtpsl.load(run, device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    expected = loaded.predict(pixels)
    floats = pixels.astype(np.float64) / 255
    others = [floats, pixels.astype(np.uint16) * 257, torch.from_numpy(floats).float().permute(2, 0, 1)]
    for found in loaded.predict(others):
        assert np.abs(found["depth"] - expected["depth"]).max() < 2e-2  # eight bits are rounded when they are resized
        assert (found["segmentation"] == expected["segmentation"]).mean() > 0.95


def test_confidence_is_the_probability_of_the_class_that_was_chosen(run: Path) -> None:
    loaded = mtpsl.load(run, device="cpu")
    image = torch.rand(3, 32, 64)
    assert loaded.predict(image).confidence == {}
    predictor = mtpsl.Predictor(loaded.network, loaded.tasks, image_size=(32, 64))
    found = predictor.predict_image(image, confidence=True)
    assert [*found.confidence] == ["segmentation"]
    with torch.no_grad():
        raw = loaded.network(image[None]).predictions["segmentation"][0]
    np.testing.assert_allclose(found.confidence["segmentation"], raw.softmax(0).amax(0).numpy(), atol=1e-5)
    assert (found["segmentation"] == raw.argmax(0).numpy()).all()


def test_the_network_is_a_plain_module_in_evaluation_mode(run: Path) -> None:
    loaded = mtpsl.load(run)
    assert not loaded.network.training
    assert isinstance(loaded.network, torch.nn.Module)
    assert next(mtpsl.load_run(run).network.parameters()).device.type == "cpu"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 5, 2), np.uint8), "should be an array"),
        (np.zeros((4, 5, 3), np.int64), "should be an array"),
        (np.full((4, 5, 3), 3.0), "values from 0 to 1, not from 3 to 3"),
        (np.full((4, 5), np.nan), "values from 0 to 1"),
        (np.zeros((0, 5, 3), np.uint8), "should be an array"),
        (torch.zeros(4, 5, 3), r"floating point of shape \(3, h, w\)"),
        ("missing.png", "missing.png"),
    ],
)
def test_what_is_no_image_is_refused_by_name(run: Path, image: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mtpsl.load(run, device="cpu").predict(image)


def test_pictures_that_fail_do_not_keep_others_from_being_predicted(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for name, size in (("a", (300, 40)), ("b", (40, 300)), ("c", (40, 40))):
        Image.new("RGB", size).save(tmp_path / f"in/{name}.png")
    (tmp_path / "in/d.png").symlink_to("nowhere.png")
    put = mtpsl.inference.canvas.Canvas.put

    def without_memory(canvas, raw, *place):
        if canvas.size == (40, 300):
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        if canvas.size == (300, 40):
            raise MemoryError
        put(canvas, raw, *place)

    monkeypatch.setattr("mtpsl.inference.canvas.Canvas.put", without_memory)
    assert main(["predict", str(run), str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "a.png: there is not enough memory for its 40x300 pixels" in error
    assert "b.png: there is not enough memory for its 300x40 pixels" in error
    assert "d.png: cannot be read as a picture" in error
    assert error.endswith(f"Predicted 1 of 4 pictures into {tmp_path / 'out'}")
    assert [path.name for path in (tmp_path / "out/segmentation").iterdir()] == ["c.png"]
    monkeypatch.setattr("mtpsl.inference.canvas.Canvas.put", lambda *_: [][0])
    with pytest.raises(IndexError):  # what is a mistake of the program stays one
        main(["predict", str(run), str(tmp_path / "in/c.png"), "--out", str(tmp_path / "again")])


def test_the_package_is_imported_quickly() -> None:
    code = "import sys, mtpsl; sys.exit(bool({'torch', 'numpy', 'PIL', 'lightning'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_without_pictures_says_so(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no picture in this folder"):
        mtpsl.load(run, device="cpu").predict(tmp_path)


@pytest.mark.parametrize("size", [(32, 32), (64, 32)], ids=str)
def test_predict_gives_what_evaluate_scores_where_pictures_are_squeezed(tmp_path: Path, size: tuple[int, int]) -> None:
    data = write_dataset(tmp_path / "data", train=1, val=3, size=(32, 128))
    options = ["--data.root", str(data), "--data.size", f"[{size[0]},{size[1]}]", *TRAINED]
    assert main(["train", *PLAIN, *options, "--quiet", "--out", str(tmp_path / "run")]) == 0
    assert main(["predict", str(tmp_path / "run"), str(data / "val/image"), "--out", str(tmp_path / "out")]) == 0
    run = mtpsl.load(tmp_path / "run", device="cpu")
    assert run.sizes == mtpsl.TrainingSizes(size, ((32, 128, 4),))
    for number in range(3):
        stored = open_split(run.config.data, "val", None)[number].image  # as evaluate reads it
        with torch.no_grad():
            raw = run.network(stored[None]).predictions["depth"]
        expected = torch.nn.functional.interpolate(raw, (32, 128), mode="bilinear", align_corners=False, antialias=True)
        found = np.load(tmp_path / f"out/depth/{number:03}.npy")
        np.testing.assert_allclose(found, expected[0, 0].clamp(min=0).numpy(), atol=1e-5)
