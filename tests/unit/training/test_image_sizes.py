"""Images of several sizes are found before anything is trained, and a size to resize to is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtpsl.data import MergedDataset, convert_dataset
from mtpsl.data.sizes import suggested_size
from mtpsl.errors import UserError
from mtpsl.training.config import parse_config
from mtpsl.training.run_data import run_data, training_sizes


def write(root: Path, train: list[tuple[int, int]], val: list[tuple[int, int]]) -> Path:
    for split, sizes in {"train": train, "val": val}.items():
        for number, size in enumerate(sizes):
            for kind, shape in {"image": (*size, 3), "segmentation": size}.items():
                path = root / split / kind / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.zeros(shape, np.uint8)).save(path)
    (root / "dataset.yaml").write_text("name: t\ntasks: {segmentation: {classes: 3}}")
    return root


SQUARE = (64, 64)
CASES = {
    "validation images of another size": (
        [SQUARE] * 4,
        [(70, 90)],
        "validation images are 70x90 (height x width), but training images 64x64: give one size to resize all to, as "
        "--data.size 70,90",
    ),
    "training images of several sizes": (
        [SQUARE, (96, 64), (64, 128), (70, 90), (96, 64)],
        [SQUARE],
        "training images have 4 sizes (height x width), 96x64, 64x64, 64x128 and 1 more: give one to resize all to, as "
        "--data.size 64,64",
    ),
    "validation images of several sizes": (
        [SQUARE],
        [(300, 400), (300, 400), (400, 300)],
        "validation images have 2 sizes (height x width), 300x400, 400x300: give one to resize all to, as "
        "--data.size 300,400",
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("form", ["folder", "packed"])
def test_sizes_that_differ_are_refused_with_a_size_as_cure(
    tmp_path: Path, name: str, batch_size: int, form: str
) -> None:
    train, val, message = CASES[name]
    root = write(tmp_path / "data", train, val)
    if form == "packed":
        convert_dataset(root, root := tmp_path / "packed", progress=False)
    words = ["--data.root", str(root), "--training.batch_size", str(batch_size)]
    with pytest.raises(UserError) as caught:
        run_data(parse_config(words, {}))
    assert str(caught.value) == message
    cure = message.split("--data.size ")[1]
    data = run_data(parse_config([*words, "--data.size", cure], {}))
    assert {tuple(data.train[i].image.shape[1:]) for i in range(len(train))} == {tuple(map(int, cure.split(",")))}


def test_no_picture_is_decoded_for_its_size(tmp_path: Path) -> None:
    root = write(tmp_path, [SQUARE, SQUARE], [SQUARE])
    path = root / "train/image/1.png"
    path.write_bytes(path.read_bytes()[:50])
    data = run_data(parse_config(["--data.root", str(root)], {}))
    assert data.train.image_size(1) == SQUARE


def test_a_merged_set_has_the_size_of_its_description(tmp_path: Path) -> None:
    write(tmp_path / "one", [SQUARE, (70, 90)], [(70, 90)])
    (tmp_path / "merged.yaml").write_text("size: [32, 48]\nsources: {one: {root: one}}")
    run_data(parse_config(["--data.root", str(tmp_path)], {}))
    dataset = MergedDataset(tmp_path, "train")
    assert [dataset.image_size(index) for index in (0, 1)] == [(32, 48)] * 2


def test_suggested_sizes_are_medians_up_to_512() -> None:
    assert suggested_size({(10, 2000): 1}) == (3, 512)
    assert suggested_size({(480, 640): 3, (100, 100): 2}) == (384, 512)
    assert suggested_size({(288, 384): 1}) == (288, 384)


def test_of_very_many_images_the_sizes_of_some_are_looked_at(tmp_path):
    write(tmp_path, [SQUARE] * 12, [SQUARE] * 4)
    data = run_data(parse_config(["--data.root", str(tmp_path)], {}))
    assert sum(count for *_, count in training_sizes(data, (32, 32)).stored) == 16
    assert sum(count for *_, count in training_sizes(data, (32, 32), most=8).stored) == 8
