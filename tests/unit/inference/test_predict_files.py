"""Files in, files out: every kind of picture, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from mtpsl.errors import UserError
from mtpsl.inference import PredictionSummary, Predictor, read_image
from mtpsl.structures import Output
from mtpsl.tasks import Depth, Edges, Normals, Segmentation
from mtpsl.visualization import draw_sheet


class Brightness(nn.Module):
    stride = 32

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: Tensor) -> Output:
        bright = images.mean(1, keepdim=True)
        levels = torch.arange(self.classes).view(1, -1, 1, 1) / (self.classes - 1)
        raw = {"segmentation": -(bright - levels).abs(), "depth": bright, "normals": images - 0.5, "edges": bright}
        return Output(raw, [])


def predictor(classes: int = 3) -> Predictor:
    tasks = [Segmentation(num_classes=classes), Depth(), Normals(), Edges()]
    return Predictor(Brightness(classes), tasks, image_size=None)


def picture(path: Path, size: tuple[int, int] = (20, 30), seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def run(paths: Path | list[Path], out: Path, **options: bool) -> PredictionSummary:
    return predictor().predict_files(paths, out, draw=draw_sheet, progress=False, **options)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_hold_the_predictions_of_the_picture(tmp_path: Path):
    pixels = picture(tmp_path / "in" / "a.b.png")
    summary = run(tmp_path / "in", tmp_path / "out")
    names = ["depth/a.b.npy", "edges/a.b.npy", "normals/a.b.npy", "segmentation/a.b.png", "sheets/a.b.png"]
    assert files(tmp_path / "out") == names
    assert summary.images == 1
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in summary.files) == names
    bright = pixels.astype(np.float64).mean(2) / 255
    depth = np.load(tmp_path / "out/depth/a.b.npy", allow_pickle=False)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, bright, atol=1e-6)
    edges = np.load(tmp_path / "out/edges/a.b.npy", allow_pickle=False)
    np.testing.assert_allclose(edges, 1 / (1 + np.exp(-bright)), atol=1e-6)
    normals = np.load(tmp_path / "out/normals/a.b.npy", allow_pickle=False)
    expected = pixels / 255 - 0.5
    np.testing.assert_allclose(normals, expected / np.linalg.norm(expected, axis=2, keepdims=True), atol=1e-5)
    with Image.open(tmp_path / "out/segmentation/a.b.png") as classes:
        assert classes.mode == "L"
        assert np.array_equal(np.asarray(classes), np.rint(bright * 2))
    with Image.open(tmp_path / "out/sheets/a.b.png") as sheet:
        assert sheet.width > 5 * 200


def test_more_than_256_classes_are_written_with_16_bits(tmp_path: Path):
    Image.new("RGB", (8, 8), "white").save(tmp_path / "a.png")
    predictor(300).predict_files(tmp_path / "a.png", tmp_path / "out", draw=None, progress=False)
    with Image.open(tmp_path / "out/segmentation/a.png") as classes:
        assert np.array_equal(np.asarray(classes), np.full((8, 8), 299))
    assert not (tmp_path / "out/sheets").exists()


def test_sub_folders_come_again_below_the_results(tmp_path: Path):
    for seed, name in enumerate(["a.png", "x/a.png", "x/y/B.JPG", ".hidden/c.png"]):
        picture(tmp_path / "in" / name, seed=seed)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    assert run(tmp_path / "in", tmp_path / "out").images == 3
    assert files(tmp_path / "out" / "depth") == ["a.npy", "x/a.npy", "x/y/B.npy"]


def test_results_inside_the_input_folder_are_not_predicted_again(tmp_path: Path):
    picture(tmp_path / "a.png")
    for _ in range(2):
        assert run(tmp_path, tmp_path / "out", overwrite=True).images == 1
    picture(tmp_path / "same" / "a.png")
    for _ in range(2):
        assert run(tmp_path / "same", tmp_path / "same", overwrite=True).images == 1
    with pytest.raises(UserError, match=r"sheets/a.png: lies among the results"):
        run(tmp_path / "out/sheets/a.png", tmp_path / "out", overwrite=True)


def test_overwriting_replaces_results_and_keeps_other_files(tmp_path: Path):
    picture(tmp_path / "a.png")
    out = tmp_path / "out"
    run(tmp_path / "a.png", out)
    before = np.load(out / "depth/a.npy")
    (out / "mine.txt").write_text("keep")
    picture(tmp_path / "a.png", seed=1)
    with pytest.raises(UserError, match="not empty: choose another one, or write into it with --overwrite"):
        run(tmp_path / "a.png", out)
    assert np.array_equal(np.load(out / "depth/a.npy"), before)
    run(tmp_path / "a.png", out, overwrite=True)
    assert not np.array_equal(np.load(out / "depth/a.npy"), before)
    assert (out / "mine.txt").read_text() == "keep"


def test_an_existing_empty_folder_is_used(tmp_path: Path):
    picture(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    assert run(tmp_path / "a.png", tmp_path / "out").images == 1


def test_broken_pictures_are_named_and_the_others_are_written(tmp_path: Path):
    for name in "ace":
        picture(tmp_path / "in" / f"{name}.png")
    whole = (tmp_path / "in/a.png").read_bytes()
    (tmp_path / "in/b.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in/d.jpg").write_bytes(b"not a picture")
    (tmp_path / "in/f.png").write_bytes(b"")
    (tmp_path / "in/notes.txt").write_text("")
    with pytest.raises(UserError) as caught:
        run(tmp_path / "in", tmp_path / "out")
    message = str(caught.value)
    assert "\n" not in message
    for name in ("b.png", "d.jpg", "f.png"):
        assert message.count(str(tmp_path / "in" / name)) == 1
    assert message.endswith(f"Predicted 3 of 6 pictures into {tmp_path / 'out'}, passed over 1 file that is no picture")
    assert files(tmp_path / "out" / "depth") == ["a.npy", "c.npy", "e.npy"]
    assert not [name for name in files(tmp_path / "out") if "/." in name]


def test_wrong_inputs_are_named_before_anything_is_written(tmp_path: Path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "x" / "a.jpg")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no picture")
    cases = {
        "missing.png: no such file or folder": [tmp_path / "a.png", tmp_path / "missing.png"],
        "empty: no picture in this folder": tmp_path / "empty",
        "notes.txt: a picture should end in .png": tmp_path / "notes.txt",
        "both results would be called a:": [tmp_path / "a.png", tmp_path / "x" / "a.jpg"],
        "no picture given": [],
    }
    for message, paths in cases.items():
        with pytest.raises(UserError, match=message):
            run(paths, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_results_are_not_written_into_a_file(tmp_path: Path):
    picture(tmp_path / "a.png")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match="out: should be a folder, but is a file"):
        run(tmp_path / "a.png", tmp_path / "out", overwrite=True)
    with pytest.raises(UserError, match="cannot be made"):
        run(tmp_path / "a.png", tmp_path / "out" / "deeper")


def test_what_the_system_refuses_is_a_user_error(tmp_path: Path):
    picture(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/depth").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"depth/a\.npy: cannot be written"):
        run(tmp_path / "a.png", tmp_path / "out", overwrite=True)


def test_a_picture_given_twice_is_predicted_once(tmp_path: Path):
    picture(tmp_path / "in" / "a.png")
    assert run([tmp_path / "in", tmp_path / "in" / "a.png"], tmp_path / "out").images == 1


GRAY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "gif", "tif", "jpg", "jpeg"])
def test_every_format_is_read(tmp_path: Path, suffix: str):
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (16, 16), (200, 100, 50)).save(path)
    expected = torch.tensor([200, 100, 50]).view(3, 1, 1) / 255
    assert (read_image(path) - expected).abs().max() < 0.03  # lossy formats


@pytest.mark.parametrize(
    ("suffix", "image", "expected"),
    [
        ("png", Image.fromarray(GRAY), GRAY / 255),
        ("png", Image.fromarray(GRAY.astype(np.uint16) * 257), GRAY / 255),
        ("tif", Image.fromarray(GRAY.astype(np.uint16) * 257), GRAY / 255),
        ("tif", Image.fromarray(GRAY.astype(np.float32) / 255), GRAY / 255),
        ("tif", Image.fromarray(GRAY.astype(np.int32) * 257), GRAY / 255),
        ("png", Image.fromarray(GRAY > 100), GRAY > 100),
        ("png", Image.fromarray(GRAY).convert("P"), GRAY / 255),
        ("png", Image.merge("LA", [Image.fromarray(GRAY), Image.new("L", (4, 3), 255)]), GRAY / 255),
        ("png", Image.merge("RGBA", [Image.fromarray(GRAY)] * 3 + [Image.new("L", (4, 3), 0)]), np.ones((3, 4))),
    ],
    ids=["gray", "16-bit png", "16-bit tif", "float tif", "32-bit tif", "1 bit", "palette", "gray + alpha", "clear"],
)
def test_every_pixel_format_is_read(tmp_path: Path, suffix: str, image: Image.Image, expected: np.ndarray):
    image.save(tmp_path / f"a.{suffix}")
    read = read_image(tmp_path / f"a.{suffix}")
    assert read.dtype == torch.float32
    assert read.shape == (3, 3, 4)
    np.testing.assert_allclose(read.numpy(), np.broadcast_to(expected, (3, 3, 4)), atol=1e-6)


def test_transparent_palette_entries_are_white(tmp_path: Path):
    image = Image.new("P", (4, 3), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 2), 1)
    image.save(tmp_path / "a.png", transparency=bytes([0, 255]))
    read = read_image(tmp_path / "a.png")
    assert torch.equal(read[:, 0, 0], torch.ones(3))
    assert torch.equal(read[:, 2, 1], torch.tensor([0.0, 0.0, 1.0]))


def test_pictures_are_turned_upright(tmp_path: Path):
    """EXIF orientation 6: the stored picture has to be turned 90 degrees clockwise."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    read = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(read.permute(1, 2, 0).numpy(), np.rot90(pixels, -1) / 255, atol=1e-6)
    run(tmp_path / "a.png", tmp_path / "out")
    assert np.load(tmp_path / "out/depth/a.npy").shape == (24, 16)


@pytest.mark.parametrize("values", [np.float32([[0, 3.5]]), np.float32([[0, np.nan]]), np.int32([[0, 70000]])])
def test_values_outside_their_range_are_refused(tmp_path: Path, values: np.ndarray):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a\.tif: cannot be read as a picture \(values should lie between 0 and"):
        read_image(tmp_path / "a.tif")
