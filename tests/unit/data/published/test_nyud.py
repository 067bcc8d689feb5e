"""NYU-v2 in the multi-task layout: both variants, values and sentinels worked out by hand, and refused trees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtpsl.data import NYUD, recognize
from mtpsl.errors import UserError

LABEL = np.array([[0, 1, 40], [4, 22, 0]], np.uint8)
DEPTH = np.array([[0, 1.25, 9.5], [2, 3, 0]], np.float32)
VECTORS = np.array([[[0, 0, 1], [0.6, 0, 0.8], [0, 0, 0]], [[0, 0.5, 0], [0, 0, 0.01], [-1, 0, 0]]], np.float32)


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """In `train` 0003 as arrays and 0001 as pictures, in this order; in `val` 0002."""
    root = tmp_path / "nyud"
    for key in ("0001", "0002", "0003"):
        pictures = key == "0001"
        write(root / f"images/{key}.{'png' if pictures else 'jpg'}", np.full((2, 3, 3), 51, np.uint8))
        write(root / f"segmentation/{key}.png", LABEL)
        write(root / f"depth/{key}.npy", DEPTH)
        if pictures:
            write(root / f"normals/{key}.png", ((VECTORS + 1) / 2 * 255).round().astype(np.uint8))
            write(root / f"edge/{key}.png", np.array([[0, 255, 0], [255, 0, 0]], np.uint8))
        else:
            write(root / f"normals/{key}.npy", VECTORS)
            write(root / f"edge/{key}.npy", np.array([[0, 1, 255], [1, 0, 0]], np.float64))
    (root / "gt_sets").mkdir()
    (root / "gt_sets/train.txt").write_text("0003\n0001\n\n")
    (root / "gt_sets/val.txt").write_text("0002")
    return root


@pytest.mark.parametrize("index", [0, 1])
def test_values_and_sentinels_of_both_variants(root, index):
    dataset = NYUD(root, "train")
    assert dataset.keys == ["0003", "0001"]
    assert [*dataset.tasks] == ["segmentation", "depth", "normals", "edges"]
    assert dataset.available.all()
    sample = dataset[index]
    torch.testing.assert_close(sample.image, torch.full((3, 2, 3), 0.2), atol=0.01, rtol=0)
    assert sample.targets["segmentation"].tolist() == [[0, 0, 39], [3, 21, 0]]
    assert sample.valid["segmentation"].tolist() == [[False, True, True], [True, True, False]]
    assert sample.targets["depth"].tolist() == [DEPTH.tolist()]
    assert sample.valid["depth"].tolist() == (DEPTH > 0).tolist()
    expected = np.array([[[0, 0, 1], [0.6, 0, 0.8], [0, 0, 0]], [[0, 1, 0], [0, 0, 0], [-1, 0, 0]]], np.float32)
    found = sample.targets["normals"].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=0.01 if index else 1e-6)
    assert sample.valid["normals"].tolist() == [[True, True, False], [True, False, True]]
    assert sample.targets["edges"].tolist() == [[[0, 1, 0], [1, 0, 0]]]
    assert sample.valid["edges"].tolist() == [[True, True, index == 1], [True] * 3]


def test_edges_in_pictures_may_have_an_unknown_value(root):
    write(root / "edge/0001.png", np.array([[0, 1, 255], [0, 0, 0]], np.uint8))
    sample = NYUD(root, "train")[1]
    assert sample.targets["edges"].tolist() == [[[0, 1, 0], [0, 0, 0]]]
    assert sample.valid["edges"].tolist() == [[True, True, False], [True] * 3]
    write(root / "edge/0001.png", np.full((2, 3), 128, np.uint8))
    with pytest.raises(UserError, match=r"edge/0001\.png: value 128"):
        NYUD(root, "train")[1]


def test_the_40_classes_have_names(root):
    names = NYUD(root, "val").tasks["segmentation"].options()["class_names"]
    assert len({*names}) == 40
    assert [names[i] for i in (0, 1, 3, 21, 39)] == ["wall", "floor", "bed", "ceiling", "other prop"]


def test_tasks_are_chosen_and_a_missing_folder_is_a_missing_task(root):
    (root / "edge").rename(root / "elsewhere")
    assert [*NYUD(root, "train").tasks] == ["segmentation", "depth", "normals"]
    assert [*NYUD(root, "train", tasks=["normals", "depth"]).tasks] == ["depth", "normals"]
    with pytest.raises(UserError, match="edge: there is no such folder"):
        NYUD(root, "train", tasks=["edges", "depth"])
    with pytest.raises(UserError, match="unknown task 'saliency'"):
        NYUD(root, "train", tasks=["saliency"])
    for folder in ("segmentation", "depth", "normals"):
        (root / folder).rename(root / f"no_{folder}")
    with pytest.raises(UserError, match="segmentation: there is no such folder"):
        NYUD(root, "train")


def test_half_unpacked_archives_are_refused(root):
    (root / "depth/0003.npy").unlink()
    with pytest.raises(UserError, match=r"depth: there is no 0003\.npy, which .*train\.txt lists"):
        NYUD(root, "train")
    (root / "images/0002.jpg").unlink()
    with pytest.raises(UserError, match=r"images: there is no 0002\.png or 0002\.jpg"):
        NYUD(root, "val")
    write(root / "normals/0001.npy", VECTORS)
    with pytest.raises(UserError, match=r"normals/0001\.npy: 0001\.png has the same id"):
        NYUD(root, "train", tasks=["normals"])


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ("a\nb\na", "lists 'a' twice"), ("\xff", "no text")])
def test_wrong_lists_are_refused(root, text, message):
    (root / "gt_sets/val.txt").write_bytes(text.encode("latin1"))
    with pytest.raises(UserError, match=r"val\.txt") as caught:
        NYUD(root, "val")
    assert message in str(caught.value) or "is not a text" in str(caught.value)


def test_wrong_files_are_named_when_they_are_read(root):
    write(root / "segmentation/0003.png", np.full((2, 3), 41, np.uint8))
    write(root / "depth/0001.npy", np.zeros((2, 4), np.float32))
    dataset = NYUD(root, "train")
    with pytest.raises(UserError, match=r"segmentation/0003\.png: class index 41 at 6 pixels"):
        dataset[0]
    with pytest.raises(UserError, match=r"depth/0001\.npy: .*size 2x3"):
        dataset[1]


def test_the_layout_is_recognized(root, tmp_path):
    assert recognize(root) == "nyud"
    assert NYUD.find_splits(root) == ["train", "val"]
    assert NYUD.find_splits(tmp_path) == []
    assert NYUD.published == {"train": 795, "val": 654}
    with pytest.raises(UserError, match="no split 'test': there are train, val"):
        NYUD(root, "test")
    with pytest.raises(UserError, match="it should hold gt_sets"):
        NYUD(tmp_path, "train")


def test_black_in_a_picture_of_normals_is_unknown(root):
    normals = np.array([[[0, 0, 0], [128, 128, 255], [128, 128, 255]], [[255, 128, 128]] * 3], np.uint8)
    write(root / "normals/0001.png", normals)
    sample = NYUD(root, "train", tasks=["normals"])[1]
    assert sample.valid["normals"].tolist() == [[False, True, True], [True, True, True]]
    assert not sample.targets["normals"][:, 0, 0].any()
