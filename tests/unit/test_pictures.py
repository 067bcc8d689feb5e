"""How pictures are read, in training and in prediction alike."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from label_files import RGB, RGB_ALPHA, write_png
from mtpsl.data import FolderDataset
from mtpsl.errors import UserError
from mtpsl.inference import read_image
from mtpsl.pictures import SUFFIXES, picture_tensor, read_header, read_picture


def png(path: Path, array: np.ndarray) -> Path:
    Image.fromarray(array).save(path)
    return path


def read(path: Path, size: tuple[int, int] | None = None) -> Tensor:
    return picture_tensor(read_picture(path), size)


def test_pictures_of_every_common_kind_become_rgb_from_zero_to_one(tmp_path):
    gray = np.array([[0, 51], [102, 255]], np.uint8)
    image = read(png(tmp_path / "a.png", gray))
    assert image.dtype == torch.float32
    assert torch.equal(image, torch.tensor([[0, 0.2], [0.4, 1]]).expand(3, 2, 2))
    color = np.dstack([gray, gray * 0, 255 - gray])
    assert torch.equal(read(png(tmp_path / "b.png", color)), torch.from_numpy(color).permute(2, 0, 1) / 255)
    opaque = np.dstack([color, np.full_like(gray, 255)])
    assert torch.equal(read(png(tmp_path / "c.png", opaque)), read(tmp_path / "b.png"))
    alpha = gray[..., None] / 255
    assert torch.equal(
        (255 * read(png(tmp_path / "d.png", np.dstack([color, gray])))).round(),
        torch.from_numpy(np.rint(alpha * color + (1 - alpha) * 255)).permute(2, 0, 1).float(),
    )


def test_colors_of_16_bits_keep_both_bytes(tmp_path):
    numbers = np.random.default_rng(0).integers(0, 65536, (5, 4, 3))
    numbers[0, 0], numbers[0, 1] = 65535, 4095  # of a camera of 12 bits
    image = read(write_png(tmp_path / "a.png", numbers, 16, RGB))
    assert torch.equal(image, torch.from_numpy(numbers.astype(np.float32) / np.float32(65535)).permute(2, 0, 1))
    opaque = write_png(tmp_path / "b.png", np.dstack([numbers, np.full((5, 4), 65535)]), 16, RGB_ALPHA)
    assert torch.equal(read(opaque), image)
    half = write_png(tmp_path / "c.png", np.dstack([numbers, np.full((5, 4), 13107)]), 16, RGB_ALPHA)
    assert torch.allclose(read(half), 0.2 * image + 0.8, atol=1e-6)


def test_a_photograph_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((8, 16, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert read(tmp_path / "a.jpg").shape == (3, 16, 8)


def test_pictures_are_shrunk_with_antialiasing(tmp_path):
    stripes = np.tile(np.array([[0, 255]], np.uint8), (8, 8))
    image = read(png(tmp_path / "a.png", stripes), (4, 4))
    assert image.shape == (3, 4, 4)
    assert (image[:, :, 1:-1] - 0.5).abs().max() < 0.1
    noise = np.random.default_rng(0).integers(0, 256, (24, 36, 3)).astype(np.uint8)
    image = read(png(tmp_path / "b.png", noise), (10, 15))
    plain = torch.from_numpy(noise).permute(2, 0, 1)[None].float() / 255
    oracle = torch.nn.functional.interpolate(plain, (10, 15), mode="bilinear", antialias=True, align_corners=False)[0]
    assert (image - oracle).abs().max() < 0.01


PHOTO = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
HALF_CLEAR = np.dstack([PHOTO, np.where(PHOTO[..., 0] > 127, 250, 255).astype(np.uint8)])
DEEP = (PHOTO[..., 0].astype(np.uint16) * 251).clip(0, 65535)
KINDS = dict.fromkeys(SUFFIXES, PHOTO) | {
    "gray16.png": DEEP,
    "gray16.tif": DEEP,
    "float.tif": (DEEP / 65535).astype(np.float32),
    "clear.png": HALF_CLEAR,
    "clear.webp": HALF_CLEAR,
}


def write_set(root: Path, file: str, pixels: np.ndarray) -> Path:
    """A data set of one image, and its path."""
    path = root / "train/image" / (f"0{file}" if file.startswith(".") else file)
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(path, format="JPEG" if file == ".jfif" else None)
    (root / "train/depth").mkdir()
    np.save(root / "train/depth" / f"{path.stem}.npy", np.ones(pixels.shape[:2]))
    (root / "dataset.yaml").write_text("name: one\ntasks: {depth: {}}")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_training_reads_what_prediction_reads_to_the_bit(tmp_path: Path, kind: str) -> None:
    path = write_set(tmp_path, kind, KINDS[kind])
    dataset = FolderDataset(tmp_path, "train")
    assert dataset.image_size(0) == (16, 24)
    assert torch.equal(dataset[0].image, read_image(path))


def test_a_deep_picture_keeps_its_depth_and_is_resized_like_others(tmp_path: Path) -> None:
    write_set(tmp_path, "gray16.png", DEEP)
    expected = torch.from_numpy(DEEP.astype(np.float32) / 65535).expand(3, -1, -1)
    assert torch.equal(FolderDataset(tmp_path, "train")[0].image, expected)
    shrunk = FolderDataset(tmp_path, "train", size=(8, 12))[0].image
    coarse = picture_tensor(Image.fromarray(np.stack([DEEP // 257] * 3, 2).astype(np.uint8)), (8, 12))
    assert (shrunk - coarse).abs().max() < 0.01


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
def test_the_head_of_a_file_tells_the_upright_size(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PHOTO).save(tmp_path / f"a.{suffix}", exif=exif)
    header = read_header(tmp_path / f"a.{suffix}")
    assert header.size == tuple(read(tmp_path / f"a.{suffix}").shape[1:])
    assert header.turned == (orientation > 1)


def test_large_pictures_are_read_and_larger_ones_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = png(tmp_path / "a.png", PHOTO)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", PHOTO.shape[0] * PHOTO.shape[1] - 1)
    with ThreadPoolExecutor(4) as pool:  # Pillow would warn, and the filters of warnings are all threads'
        before = warnings.filters[:]
        assert all(picture.size == (24, 16) for picture in pool.map(lambda _: read_picture(path), range(40)))
        assert warnings.filters[:] == before
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for reading in (read_picture, read_header, read_image):
        with pytest.raises(UserError, match=r"a\.png: has 384 pixels, more than the 200 that Pillow reads: shrink it"):
            reading(path)


def test_what_is_no_picture_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(UserError, match=r"text\.jpg: cannot be read as a picture \(it is none of PNG, JPEG, .*replace"):
        read_picture(tmp_path / "text.jpg")
    with pytest.raises(UserError, match=r"gone\.jpg: there is no such file$"):
        read_header(tmp_path / "gone.jpg")
