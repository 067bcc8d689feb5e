"""What `mtpsl init` makes of folders that people have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtpsl.cli import main
from mtpsl.data import FolderDataset, read_description
from mtpsl.data.check import check_dataset
from mtpsl.data.guess import describe_folder
from mtpsl.data.guess.folders import _frame
from mtpsl.data.guess.splitting import guess_split
from mtpsl.data.yaml_files import load_yaml
from mtpsl.errors import UserError

RANDOM = np.random.default_rng(0)
SIZE = (6, 8)


def picture() -> np.ndarray:
    return RANDOM.integers(0, 256, (*SIZE, 3), np.uint8)


def mask(*numbers: int) -> np.ndarray:
    """A mask in which every number occurs."""
    return np.resize(np.array(numbers, np.uint8), SIZE)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)


def images(root: Path, count: int = 6, folder: str = "images", name: str = "{}.jpg") -> Path:
    for number in range(count):
        save(root / folder / name.format(number), picture())
    return root


def task(root: Path, name: str) -> dict[str, Any]:
    """What the description says of a task."""
    return load_yaml(describe_folder(root).text)["tasks"][name] or {}


def test_a_folder_without_splits_is_described_and_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = images(tmp_path / "my set", 20)
    for number in range(0, 20, 2):
        save(root / "masks" / f"{number}.png", mask(0, 1, 2, 255))
    for number in range(1, 20, 2):
        save(root / "depth" / f"{number}.npy", RANDOM.uniform(1, 9, SIZE).astype(np.float32))
    assert main(["init", str(root)]) == 0
    printed = capsys.readouterr().out
    assert f"mtpsl check '{root}'" in printed
    assert f"mtpsl train --data.root '{root}' --out runs/first" in printed
    report = check_dataset(root, progress=False)
    assert report.ok
    assert report.splits["train"].images + report.splits["val"].images == 20
    assert report.splits["val"].images in (3, 4, 5)
    for split in report.splits.values():
        assert {name: one.labels > 0 for name, one in split.tasks.items()} == {"segmentation": True, "depth": True}
    described = read_description(root / "dataset.yaml")
    assert described.formats["segmentation"].classes == ["class_0", "class_1", "class_2"]
    assert described.formats["segmentation"].ignore == 255
    assert described.formats["depth"].scale == 1
    assert main(["init", str(root)]) == 2
    assert "exists already: replace it with --overwrite" in capsys.readouterr().err
    assert main(["init", str(root), "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("image", "label", "splits"),
    [
        ("train/imgs/a{}.jpg", "train/Masks/a{}.png", ["train", "val"]),  # a training split alone is divided
        ("data/rgb/a{}.jpg", "data/labels/a{}.png", ["train", "val"]),
        ("images/s{}/f.jpg", "annotations/s{}/f.png", ["train", "val"]),
        ("images/a{}.jpg", "masks/a{}_mask.png", ["train", "val"]),
        ("images/img_{}.jpg", "masks/mask_{}.png", ["train", "val"]),
        ("JPEGImages/a{}_leftImg8bit.png", "SegmentationClass/a{}_gt.png", ["train", "val"]),
    ],
)
def test_usual_folders_and_names_are_found(tmp_path: Path, image: str, label: str, splits: list[str]) -> None:
    for number in range(10, 22):
        save(tmp_path / image.format(number), picture())
        save(tmp_path / label.format(number), mask(0, 1, 2))
    (tmp_path / "dataset.yaml").write_text(describe_folder(tmp_path).text)
    assert FolderDataset.find_splits(tmp_path) == splits
    datasets = [FolderDataset(tmp_path, split) for split in splits]
    assert sum(map(len, datasets)) == 12
    assert all(dataset.available.all() for dataset in datasets)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{}/images/a.png", "{}/masks/a.png"),
        ("images/{}/a.png", "masks/{}/a.png"),
        ("{}/image/a.png", "{}/depth/a.npy"),
    ],
)
def test_splits_are_kept(tmp_path: Path, image: str, label: str) -> None:
    for split in ("train", "valid", "test"):
        save(tmp_path / image.format(split), picture())
        save(tmp_path / label.format(split), mask(0, 1))
    (tmp_path / "dataset.yaml").write_text(describe_folder(tmp_path).text)
    assert FolderDataset.find_splits(tmp_path) == ["test", "train", "valid"]
    assert FolderDataset(tmp_path, "valid").available.all()


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0, 255), {"classes": {0: "background", 255: "object"}}),
        ((0, 1), {"classes": ["background", "object"], "ignore": 255}),
        ((0, 1, 255), {"classes": ["background", "object"], "ignore": 255}),
        ((0, 7, 26), {"classes": {0: "class_0", 7: "class_7", 26: "class_26"}, "ignore": 255}),
        ((0, 1, 2, 4), {"classes": [f"class_{index}" for index in range(5)], "ignore": 255}),
        ((3, 4), {"classes": {3: "class_3", 4: "class_4"}}),
    ],
)
def test_classes_follow_from_the_numbers_in_masks(tmp_path: Path, numbers: tuple[int, ...], expected: object) -> None:
    images(tmp_path)
    save(tmp_path / "masks" / "1.png", mask(numbers[0]))
    save(tmp_path / "masks" / "3.png", mask(*numbers))
    assert task(tmp_path, "segmentation") == expected


def test_classes_have_the_names_and_colors_of_files_beside_them(tmp_path: Path) -> None:
    for root, color in ((tmp_path / "numbers", False), (tmp_path / "colors", True)):
        images(root)
        index = mask(0, 1, 2)
        table = np.array([[0, 0, 0], [128, 64, 128], [70, 70, 70]], np.uint8)
        save(root / "masks" / "1.png", table[index] if color else index)
    (tmp_path / "numbers" / "classes.txt").write_text("sky\nroad\nno\n")
    assert task(tmp_path / "numbers", "segmentation")["classes"] == ["sky", "road", "no"]
    unnamed = task(tmp_path / "colors", "segmentation")
    assert unnamed["classes"] == ["background", "class_1", "class_2"]
    assert unnamed["colors"] == [[0, 0, 0], [70, 70, 70], [128, 64, 128]]
    (tmp_path / "colors" / "class_dict.csv").write_text(
        "name,r,g,b\nsky,0,0,0\nroad,128,64,128\ncar,70,70,70\nx,1,1,1\n"
    )
    named = task(tmp_path / "colors", "segmentation")
    assert named["classes"] == ["sky", "road", "car", "x"]
    assert named["colors"][1] == [128, 64, 128]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.linspace(500, 9000, 48).reshape(SIZE).astype(np.uint16), {"scale": 0.001, "missing": 0}),
        (np.linspace(0, 9, 48).reshape(SIZE), {"scale": 1, "missing": 0}),
        (np.array([[1.5, np.nan, np.inf, -1.0, 3, 4, 5, 6]] * 6), {"scale": 1, "missing": [np.nan, np.inf, -1]}),
        (np.linspace(500, 9000, 48).reshape(SIZE), {"scale": 0.001, "missing": 0}),
        (np.array([[800, 65535] * 4] * 6, np.uint16), {"scale": 0.001, "missing": [0, 65535]}),
    ],
)
def test_the_unit_of_depth_follows_from_its_range(tmp_path: Path, array: np.ndarray, expected: dict[str, Any]) -> None:
    images(tmp_path)
    save(tmp_path / "Depth_Maps" / ("1.png" if array.dtype == np.uint16 else "1.npy"), array)
    found = task(tmp_path, "depth")
    np.testing.assert_equal(found, expected)


@pytest.mark.parametrize(("offset", "divisor"), [(127.5, 127.5), (128.0, 127.0)])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_encoding_of_normals_is_the_one_of_unit_length(
    tmp_path: Path, offset: float, divisor: float, sign: int
) -> None:
    images(tmp_path)
    vectors = RANDOM.normal(size=(60, 80, 3))
    vectors[30:] = [0.1, sign, 0.1]  # a floor
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    save(tmp_path / "normals" / "1.png", np.round(vectors * divisor + offset).astype(np.uint8))
    found = task(tmp_path, "normals")
    assert (found.get("offset"), found.get("divisor")) == ((None, None) if offset == 127.5 else (128, 127))
    assert found["y_axis"] == ("up" if sign > 0 else "down")


def test_other_tasks_are_described(tmp_path: Path) -> None:
    images(tmp_path)
    save(tmp_path / "edges" / "1.png", mask(0, 255))
    save(tmp_path / "saliency" / "1.png", mask(0, 100, 200))
    save(tmp_path / "human_parts" / "1.png", mask(0, 1, 6))
    save(tmp_path / "albedo" / "1.png", picture())
    save(tmp_path / "flow" / "1.npy", RANDOM.normal(size=(*SIZE, 2)))
    save(tmp_path / "multilabel" / "1.png", np.stack([mask(0, 255), mask(255, 0), mask(0)], 2))
    save(tmp_path / "disparity" / "1.npy", RANDOM.uniform(1, 2, SIZE))
    save(tmp_path / "notes" / "1.png", mask(0))
    guessed = describe_folder(tmp_path)
    assert any("passed over: notes" in line for line in guessed.found)
    (tmp_path / "dataset.yaml").write_text(guessed.text)
    report = check_dataset(tmp_path, progress=False)
    assert report.ok, report.problems
    tasks = load_yaml(guessed.text)["tasks"]
    assert tasks["edges"] == {"values": [0, 255]}
    assert tasks["flow"] == {"type": "regression", "channels": 2, "vector": "image"}
    assert tasks["multilabel"]["values"] == [0, 255]
    assert tasks["depth"]["inverse"] is True


def test_folders_can_be_named_and_tasks_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images(tmp_path, folder="scans")
    for folder in ("z", "mask", "labels"):
        save(tmp_path / folder / "1.png", mask(0, 1))
    assert main(["init", str(tmp_path)]) == 2
    assert "name it: --folders image=FOLDER" in capsys.readouterr().err
    assert main(["init", str(tmp_path), "--folders", "image=scans"]) == 2
    assert "several folders may be segmentation (labels, mask): say which" in capsys.readouterr().err
    words = ["--folders", "image=scans,segmentation=mask,depth=z", "--tasks", "segmentation"]
    out = tmp_path / "sub" / "described.yaml"
    assert main(["init", str(tmp_path), *words, "--out", str(out)]) == 0
    assert f"--description {out}" in capsys.readouterr().out
    assert [*read_description(out).formats] == ["segmentation"]
    assert check_dataset(tmp_path, out, progress=False).ok


def noise(root: Path) -> None:
    save(root / "masks" / "1.png", np.resize(np.arange(200, dtype=np.uint8), (20, 20)))


def in_colors(root: Path) -> None:
    save(root / "depth" / "1.png", picture())


def jpegs(root: Path) -> None:
    save(root / "masks" / "1.jpg", mask(0, 1))


def strangers(root: Path) -> None:
    save(root / "masks" / "first.png", mask(0, 1))


def mixed(root: Path) -> None:
    save(root / "masks" / "1.png", mask(0, 1))
    save(root / "masks" / "2.png", picture())


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda root: None, "there is no folder of labels, called masks"),
        (noise, "masks hold 200 numbers, too many for classes"),
        (in_colors, "depth is drawn in colors"),
        (jpegs, "JPEG changes a label's numbers: export them as PNG"),
        (strangers, "no name in masks is that of an image in images, as first and 0"),
        (mixed, "some masks are in colors and this one is not"),
        (lambda root: save(root / "edges" / "1.png", mask(*range(9))), "edges hold 9 different numbers"),
        (lambda root: save(root / "normals" / "1.png", mask(1, 2)), "normals should have 3 channels, not 1"),
        (lambda root: save(root / "human_parts" / "1.png", mask(9)), "human_parts go from 0 to 6, not 9"),
    ],
)
def test_what_cannot_be_described_is_one_line(
    tmp_path: Path, write: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(images(tmp_path))
    assert main(["init", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "dataset.yaml").exists()


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        describe_folder(tmp_path / "absent")
    with pytest.raises(UserError, match=r"no folder of images in it \(no folder at all\)"):
        describe_folder(tmp_path)
    (tmp_path / "packed.json").write_text("{}")
    with pytest.raises(UserError, match=r"looks like packed, which needs no dataset\.yaml"):
        describe_folder(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--val", "1"], "--val should be a share between 0 and 1"),
        (["--folders", "scans"], "--folders should be as image=scans,depth=z, not 'scans'"),
        (["--folders", "sound=wav"], "--folders: sound is unknown"),
        (["--tasks", "depth"], "unknown task 'depth': found are segmentation"),
        (["--group", "("], "`group` should be sequence or a regular expression"),
    ],
)
def test_wrong_options_are_named(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save(images(tmp_path) / "masks" / "1.png", mask(0, 1))
    assert main(["init", str(tmp_path), *words]) == 2
    assert message in capsys.readouterr().err


def test_sequences_stay_together_and_every_task_is_on_both_sides() -> None:
    frames = [f"street{place}_{number:04}" for place in "abcdefghij" for number in range(5)]
    split, why = guess_split(frames, {"depth": frames[:10]}, 0.2, None)
    assert split.group == "sequence"
    assert "stay together" in why
    held = {frame for frame in frames if split.of(frame) == "val"}
    assert len({frame[:7] for frame in held}) * 5 == len(held)
    assert 0 < len(held & {*frames[:10]}) < 10
    one, why = guess_split([f"img_{number}" for number in range(30)], {}, 0.2, None)
    assert one.group is None
    few, why = guess_split([f"{place}_{number}" for place in "ab" for number in range(30)], {}, 0.2, None)
    assert few.group is None
    assert "2 sequences, which --group sequence would keep together" in why


def test_what_all_names_share_ends_at_a_sign() -> None:
    assert _frame({"img_01_rgb", "img_02_rgb"}) == "img_*_rgb"
    assert _frame({"a10", "a20"}) == "*"
    assert _frame({"x/b_1.left", "y/c_2.left"}) == "*.left"
