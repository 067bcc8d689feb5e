"""Cityscapes by city."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtpsl.data.published.cityscapes import Cityscapes
from mtpsl.data.published.cityscapes_classes import cityscapes_classes
from mtpsl.errors import UserError

AACHEN, ULM = "aachen_000000_000019", "ulm_000001_000019"
#: label id -> train id, and category id minus 1, as the label list of the cityscapesScripts gives them; -1 is void
TRAIN_IDS = [
    *[-1] * 7,
    0,
    1,
    -1,
    -1,
    2,
    3,
    4,
    -1,
    -1,
    -1,
    5,
    -1,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    -1,
    -1,
    16,
    17,
    18,
]
CATEGORIES = [*[-1] * 7, *[0] * 4, *[1] * 6, *[2] * 4, *[3] * 2, 4, *[5] * 2, *[6] * 8]


def png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def add(root: Path, key: str, split: str = "train", labels: bool = True, disparity: bool = True) -> None:
    city = key.split("_")[0]
    picture = np.zeros((2, 34, 3), np.uint8)
    picture[0, 0] = (255, 128, 0)
    png(root / "leftImg8bit" / split / city / f"{key}_leftImg8bit.png", picture)
    if labels:
        ids = np.stack([np.arange(34, dtype=np.uint8)] * 2)
        png(root / "gtFine" / split / city / f"{key}_gtFine_labelIds.png", ids)
        png(root / "gtFine" / split / city / f"{key}_gtFine_instanceIds.png", ids.astype(np.uint16))
    if disparity:
        stored = np.full((2, 34), 25601, np.uint16)
        stored[0, :4] = 0, 1, 2, 65535
        png(root / "disparity" / split / city / f"{key}_disparity.png", stored)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    add(tmp_path, ULM)
    add(tmp_path, AACHEN)
    add(tmp_path, "bonn_000002_000019", "test", labels=False)
    add(tmp_path, "berlin_000002_000019", "test", labels=False, disparity=False)
    return tmp_path


@pytest.mark.parametrize(("classes", "expected"), [(19, TRAIN_IDS), (7, CATEGORIES)])
def test_ids_become_classes(root, classes, expected):
    sample = Cityscapes(root, "train", classes=classes)[0]
    assert sample.valid["segmentation"][0].tolist() == [index >= 0 for index in expected]
    assert sample.targets["segmentation"][1].tolist() == [max(index, 0) for index in expected]


def test_disparity_becomes_inverse_depth_in_one_over_meters(root):
    sample = Cityscapes(root, "train")[0]
    inverse, valid = sample.targets["depth"][0, 0], sample.valid["depth"][0]
    assert valid[:5].tolist() == [False, True, True, True, True]
    # 25601 is 100 pixels: 100 / (0.209313 * 2262.52) = 100 / 473.5748...
    assert inverse[:5].tolist() == pytest.approx(
        [0, 0, 1 / 256 / 473.5748, 65534 / 256 / 473.5748, 0.2111599], rel=1e-5
    )
    assert inverse[1] == 0, "no disparity is infinitely far, which is known"


def test_a_camera_file_has_its_image_s_own_calibration(root):
    for key, baseline, focal in ((AACHEN, 0.2, 2000.0), (ULM, 0.25, 2000.0)):
        path = root / "camera/train" / key.split("_")[0] / f"{key}_camera.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"extrinsic": {"baseline": baseline}, "intrinsic": {"fx": focal, "fy": 1.0}}))
    dataset = Cityscapes(root, "train")
    assert [dataset[i].targets["depth"][0, 1, 9].item() for i in (0, 1)] == pytest.approx([0.25, 0.2])
    path.write_text('{"extrinsic": {"baseline": 0}, "intrinsic": {"fx": 1}}')
    with pytest.raises(UserError, match=rf"{ULM}_camera.json: should hold a positive extrinsic.baseline"):
        dataset[1]
    path.unlink()
    with pytest.raises(UserError, match=rf"{ULM}_camera.json: is missing"):
        Cityscapes(root, "train")
    assert Cityscapes(root, "train", tasks=["segmentation"]).keys == [AACHEN, ULM]


def test_keys_are_sorted_and_images_are_as_stored(root):
    dataset = Cityscapes(root, "train")
    assert (dataset.name, dataset.keys) == ("cityscapes", [AACHEN, ULM])
    assert dataset[0].image[:, 0, 0].tolist() == pytest.approx([1, 128 / 255, 0])
    assert dataset.tasks["depth"].unit == "1/m"
    assert Cityscapes.find_splits(root) == ["test", "train"]
    assert Cityscapes.find_splits(root / "gtFine") == []
    assert Cityscapes.published == {"train": 2975, "val": 500, "test": 1525}


def test_an_image_without_a_label_file_has_no_label(root):
    dataset = Cityscapes(root, "test")
    assert dataset.keys == ["berlin_000002_000019", "bonn_000002_000019"]
    assert dataset.available.tolist() == [[False, False], [False, True]]
    assert [[*sample.targets] for sample in (dataset[0], dataset[1])] == [[], ["depth"]]


def test_depth_is_magnified_by_zooming_in(root):
    task = Cityscapes(root, "train").tasks["depth"]
    assert task.zoom(torch.full((1, 1, 1, 1), 0.2), torch.tensor([1.5])).item() == pytest.approx(0.3)


def test_size_resizes_without_mixing_values(root):
    sample = Cityscapes(root, "train", size=(1, 17))[0]
    assert sample.image.shape == (3, 1, 17)
    assert {*sample.targets["depth"].flatten().tolist()} <= {
        *Cityscapes(root, "train")[0].targets["depth"].flatten().tolist()
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root / "gtFine"), r"gtFine: there is no such folder, which holds segmentation: "),
        (lambda root: shutil.rmtree(root / "disparity"), r"disparity: .*--data.tasks segmentation"),
        (
            lambda root: (root / f"leftImg8bit/train/ulm/{ULM}_leftImg8bit.png").unlink(),
            rf"{ULM}_gtFine_labelIds.png: no",
        ),
        (lambda root: shutil.rmtree(root / "leftImg8bit/train"), "no split 'train': there are test"),
        (lambda root: shutil.rmtree(root / "leftImg8bit"), "there is no split in it: images should lie in leftImg8bit"),
        (lambda root: [shutil.rmtree(city) for city in (root / "leftImg8bit/train").iterdir()], "there is no <city>/"),
        (
            lambda root: shutil.copytree(root / "leftImg8bit/train/ulm", root / "leftImg8bit/train/zulm"),
            f"{ULM}_leftImg8bit.png: another city has a file of this name",
        ),
    ],
)
def test_an_incomplete_tree_is_refused_at_once(root, change, message):
    change(root)
    with pytest.raises(UserError, match=message) as error:
        Cityscapes(root, "train")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "array", "message"),
    [
        (
            "gtFine/train/ulm/{}_gtFine_labelIds.png",
            np.full((2, 34), 34, np.uint8),
            "class index 34 at 68 pixels, but",
        ),
        ("gtFine/train/ulm/{}_gtFine_labelIds.png", np.full((2, 33), 7, np.uint8), "should have its image's size 2x34"),
        ("disparity/train/ulm/{}_disparity.png", np.full((2, 34), 7, np.uint8), "should have 16 bits, not uint8"),
        ("disparity/train/ulm/{}_disparity.png", np.full((1, 34), 7, np.uint16), "should have its image's size 2x34"),
    ],
)
def test_one_wrong_file_is_named_when_it_is_read(root, path, array, message):
    png(root / path.format(ULM), array)
    dataset = Cityscapes(root, "train")
    assert len(dataset[0].targets) == 2
    with pytest.raises(UserError, match=message) as error:
        dataset[1]
    assert ULM in str(error.value)


def test_the_two_sets_of_classes_have_names_and_colors():
    seven, nineteen = cityscapes_classes(7), cityscapes_classes(19)
    assert seven.names == ["flat", "construction", "object", "nature", "sky", "human", "vehicle"]
    assert dict(zip(nineteen.names, nineteen.colors, strict=True))["rider"] == (255, 0, 0)
    assert seven.ignore == [0, 1, 2, 3, 4, 5, 6]
    assert nineteen.ignore == [0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30]
