"""NYU-v2 as numbered arrays: values and sentinels worked out by hand, and trees that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from builders import SHARED, needs_shared
from mtpsl.data import NYUv2, recognize
from mtpsl.data.label_lists import read_split
from mtpsl.data.registry import open_layout
from mtpsl.errors import UserError

NORMALS = np.array([[[0, 0, 1], [0.6, 0, 0.8], [0, 0, 0.5]], [[0, 0, 0], [0.3, 0, -0.4], [0.03, 0, 0.04]]])


def write_tree(root: Path, counts: dict[str, int], dtype: type = np.float64) -> Path:
    """Images of 2 x 3 pixels; image i is i / 10 in red, its depth starts with i + 1 and its label with i."""
    for split, count in counts.items():
        for folder in ("image", "label", "depth", "normal"):
            (root / split / folder).mkdir(parents=True)
        for i in range(count):
            image, label = np.zeros((2, 3, 3), dtype), np.full((2, 3), -1, dtype)
            image[..., 0] = i % 10 / 10
            label[0] = i % 13, 12, 0
            depth = np.array([[i + 1, 2.5, 0], [9.75, 0.5, 0]], dtype)[..., None]
            for folder, array in (("image", image), ("label", label), ("depth", depth), ("normal", NORMALS)):
                np.save(root / split / folder / f"{i}.npy", array.astype(dtype))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "nyuv2", {"train": 12, "val": 2})


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_and_sentinels(tmp_path, dtype):
    dataset = NYUv2(write_tree(tmp_path / "set", {"train": 12}, dtype), "train")
    assert dataset.keys == [str(i) for i in range(12)]
    assert [*dataset.tasks] == ["segmentation", "depth", "normals"]
    assert dataset.available.all()
    sample = dataset[11]
    assert sample.key == "11"
    torch.testing.assert_close(sample.image[:, 0, 0], torch.tensor([0.1, 0.0, 0.0]))
    assert sample.targets["segmentation"].tolist() == [[11, 12, 0], [0, 0, 0]]
    assert sample.valid["segmentation"].tolist() == [[True] * 3, [False] * 3]
    assert sample.targets["depth"].tolist() == [[[12, 2.5, 0], [9.75, 0.5, 0]]]
    assert sample.valid["depth"].tolist() == [[True, True, False], [True, True, False]]
    # shorter vectors become unit vectors; nothing and nearly nothing is unknown
    expected = [[[0, 0, 1], [0.6, 0, 0.8], [0, 0, 1]], [[0, 0, 0], [0.6, 0, -0.8], [0, 0, 0]]]
    torch.testing.assert_close(sample.targets["normals"].permute(1, 2, 0), torch.tensor(expected))
    assert sample.valid["normals"].tolist() == [[True, True, True], [False, True, False]]


def test_classes_are_named_in_the_usual_order(root):
    names = NYUv2(root, "train").tasks["segmentation"].options()["class_names"]
    assert " ".join(names) == "bed books ceiling chair floor furniture objects picture sofa table tv wall window"


def test_bytes_and_flat_depth_are_read_too(root):
    np.save(root / "train/image/3.npy", np.full((2, 3, 3), 51, np.uint8))
    np.save(root / "train/label/3.npy", np.array([[255, 1, 12]] * 2, np.uint8))
    np.save(root / "train/depth/3.npy", np.full((2, 3), 2, np.int16))
    sample = NYUv2(root, "train")[3]
    torch.testing.assert_close(sample.image, torch.full((3, 2, 3), 0.2))
    assert sample.valid["segmentation"].tolist() == [[False, True, True]] * 2
    assert sample.targets["segmentation"].tolist() == [[0, 1, 12]] * 2
    assert (sample.targets["depth"] == 2).all()


def test_images_and_labels_are_resized(root):
    sample = NYUv2(root, "train", size=(4, 6))[0]
    assert sample.image.shape == (3, 4, 6)
    assert sample.targets["normals"].shape == (3, 4, 6)
    assert sample.targets["segmentation"][0].tolist() == [0, 0, 12, 12, 0, 0]


def test_tasks_are_chosen_and_a_missing_folder_is_a_missing_task(root):
    (root / "train/depth").rename(root / "train/elsewhere")
    assert [*NYUv2(root, "train").tasks] == ["segmentation", "normals"]
    assert [*NYUv2(root, "train", tasks=["normals"]).tasks] == ["normals"]
    with pytest.raises(UserError, match=r"train/depth: there is no such folder.*--data\.tasks normals"):
        NYUv2(root, "train", tasks=["depth", "normals"])
    with pytest.raises(UserError, match="unknown task 'edges': nyuv2 has segmentation, depth, normals"):
        NYUv2(root, "train", tasks=["edges"])


def test_gaps_and_half_unpacked_archives_are_refused(root, tmp_path):
    (root / "train/depth/2.npy").rename(tmp_path / "2.npy")
    with pytest.raises(UserError, match=r"train/depth: 2\.npy is missing"):
        NYUv2(root, "train")
    assert len(NYUv2(root, "train", tasks=["segmentation"])) == 12
    (root / "val/normal/1.npy").unlink()
    with pytest.raises(UserError, match=r"val/normal: 1 files, but .*val/image has 2"):
        NYUv2(root, "val")
    with pytest.raises(UserError, match="no split 'test': there are train, val"):
        NYUv2(root, "test")
    with pytest.raises(UserError, match="there is no such folder"):
        NYUv2(tmp_path / "nowhere", "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"there is no split in it: arrays should lie in <split>/image/0\.npy"):
        NYUv2(tmp_path / "empty", "train")
    (tmp_path / "half/train/image").mkdir(parents=True)
    (tmp_path / "half/train/label").mkdir()
    with pytest.raises(UserError, match=r"half/train/image: there is no array in it: it should hold 0\.npy, 1\.npy"):
        NYUv2(tmp_path / "half", "train")


@pytest.mark.parametrize(
    ("folder", "array", "message"),
    [
        ("image", np.zeros((3, 3, 3)), "3x3"),
        ("image", np.full((2, 3, 3), 1.5), "from 0 to 1"),
        ("label", np.zeros((4, 3)), "size 2x3"),
        ("label", np.full((2, 3), 13), "class index 13"),
        ("label", np.full((2, 3), 0.5), "whole number"),
        ("depth", np.full((2, 3, 1), -1.0), "not negative"),
        ("depth", np.full((2, 3, 1), np.nan), "finite"),
        ("normal", np.full((2, 3, 3), 128.0), "length 222"),
        ("normal", np.full((2, 3, 3), np.nan), "length nan"),
        ("normal", np.zeros((2, 3, 2)), "(height, width, 3)"),
    ],
)
def test_a_wrong_array_is_named_when_it_is_read(root, folder, array, message):
    path = root / "train" / folder / "7.npy"
    np.save(path, array)
    dataset = NYUv2(root, "train")
    assert dataset[6].key == "6"
    with pytest.raises(UserError) as caught:
        dataset[7]
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_damaged_and_pickled_arrays_are_refused(root):
    (root / "train/normal/1.npy").write_bytes((root / "train/normal/1.npy").read_bytes()[:100])
    np.save(root / "train/label/2.npy", np.array([{}], dtype=object), allow_pickle=True)
    dataset = NYUv2(root, "train")
    with pytest.raises(UserError, match=r"normal/1\.npy"):
        dataset[1]
    with pytest.raises(UserError, match=r"label/2\.npy"):
        dataset[2]


def test_layouts_that_look_alike_are_told_apart(root, tmp_path):
    assert recognize(root) == "nyuv2"
    assert NYUv2.find_splits(root) == ["train", "val"]
    assert NYUv2.published == {"train": 795, "val": 654}
    for labels in ("label_7", "label"):
        city = tmp_path / labels
        for folder in ("image", labels, "depth"):
            (city / "train" / folder).mkdir(parents=True)
            np.save(city / "train" / folder / "0.npy", np.zeros((2, 3)))
        assert recognize(city) == "cityscapes_mtan"
    with pytest.raises(UserError, match=r"looks like a cityscapes_mtan data set: name that layout, or none"):
        open_layout("nyuv2", tmp_path / "label_7", "train")


@needs_shared
@pytest.mark.parametrize(("name", "counts"), [("onelabel", [265, 265, 265]), ("randomlabels", [392, 408, 385])])
def test_published_splits_give_the_published_counts(tmp_path, name, counts):
    folders = [tmp_path / "train" / folder for folder in ("image", "label", "depth", "normal")]
    for folder in folders:
        folder.mkdir(parents=True)
        for i in range(795):
            np.save(folder / f"{i}.npy", np.zeros((1, 1, 3), np.float16))
    dataset = NYUv2(tmp_path, "train")
    split = read_split(SHARED / "splits/nyuv2" / f"{name}.pth")
    mask = split.mask(dataset.keys, [*dataset.tasks])
    assert mask.sum(0).tolist() == counts
    # row i is image i, also where names sort differently: 2 comes before 10
    assert torch.equal(mask, split.labels)
