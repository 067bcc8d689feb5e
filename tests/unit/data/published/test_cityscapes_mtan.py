"""Cityscapes as numbered arrays."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from builders import SHARED, needs_shared
from mtpsl.data.label_lists import read_split
from mtpsl.data.loading import make_loader
from mtpsl.data.partial import PartialDataset
from mtpsl.data.published.cityscapes_mtan import CityscapesMTAN
from mtpsl.errors import UserError


def write(root: Path, split: str, count: int, labels: str = "label_7", size: tuple[int, int] = (4, 8)) -> None:
    """Image i is i / 100 in red; label and depth name i, too."""
    for folder in ("image", "depth", labels):
        (root / split / folder).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        image = np.zeros((*size, 3))
        image[..., 0] = i / 100
        np.save(root / split / "image" / f"{i}.npy", image)
        np.save(root / split / labels / f"{i}.npy", np.full(size, i % 7, np.float64))
        np.save(root / split / "depth" / f"{i}.npy", np.full((*size, 1), i / 1000, np.float32))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "train", 12)
    write(tmp_path, "val", 3)
    return tmp_path


def test_arrays_become_images_labels_and_masks(root):
    np.save(root / "train/label_7/1.npy", np.array([[-1, 0, 1, 2, 3, 4, 5, 6]] * 3 + [[255] * 8], np.int64))
    depth = np.full((4, 8, 1), 0.4922)
    depth[0, 0], depth[0, 1] = 0, 1e-5
    np.save(root / "train/depth/1.npy", depth)
    dataset = CityscapesMTAN(root, "train")
    sample = dataset[1]
    assert (dataset.name, [*dataset.tasks]) == ("cityscapes_mtan", ["segmentation", "depth"])
    assert sample.image.shape == (3, 4, 8)
    assert sample.image.dtype == torch.float32
    assert sample.image[0].unique().tolist() == [pytest.approx(0.01)]
    assert not sample.image[1:].any()
    assert sample.targets["segmentation"].tolist() == [[0, 0, 1, 2, 3, 4, 5, 6]] * 3 + [[0] * 8]
    assert sample.valid["segmentation"].tolist() == [[False] + [True] * 7] * 3 + [[False] * 8]
    assert sample.targets["depth"][0, 0, :3].tolist() == pytest.approx([0, 1e-5, 0.4922])
    assert sample.valid["depth"].sum() == 31
    assert not sample.valid["depth"][0, 0]


def test_the_order_is_that_of_the_numbers(root):
    dataset = CityscapesMTAN(root, "train")
    assert dataset.keys == [str(i) for i in range(12)]
    assert [dataset[i].targets["depth"].max().item() for i in (2, 10)] == pytest.approx([0.002, 0.010])
    assert dataset.available.all()
    assert dataset.available.shape == (12, 2)
    assert CityscapesMTAN.published == {"train": 2975, "val": 500}


def test_depth_is_inverse_and_grows_when_magnified(root):
    task = CityscapesMTAN(root, "train").tasks["depth"]
    assert task.zoom(torch.full((1, 1, 1, 1), 0.2), torch.tensor([1.5])).item() == pytest.approx(0.3)


def test_bytes_are_read_as_an_image(root):
    np.save(root / "train/image/0.npy", np.full((4, 8, 3), 51, np.uint8))
    assert CityscapesMTAN(root, "train")[0].image.unique().tolist() == [pytest.approx(0.2)]


def test_size_resizes_image_and_labels(root):
    sample = CityscapesMTAN(root, "train", size=(2, 4))[6]
    assert sample.image.shape == (3, 2, 4)
    assert sample.targets["segmentation"].tolist() == [[6] * 4] * 2
    assert sample.targets["depth"].shape == (1, 2, 4)


def test_one_task_needs_no_folder_of_the_other(root):
    shutil.rmtree(root / "train/label_7")
    (root / "train/label_19").mkdir()
    assert [*CityscapesMTAN(root, "train", tasks=["depth"])[0].targets] == ["depth"]


def test_classes_name_the_folder(tmp_path):
    write(tmp_path / "a", "train", 1, "label")
    assert CityscapesMTAN(tmp_path / "a", "train")[0].targets["segmentation"].shape == (4, 8)
    write(tmp_path / "b", "train", 1, "label_19")
    np.save(tmp_path / "b/train/label_19/0.npy", np.full((4, 8), 18))
    nineteen = CityscapesMTAN(tmp_path / "b", "train", classes=19)
    assert nineteen[0].targets["segmentation"].unique().tolist() == [18]
    task = nineteen.tasks["segmentation"]
    assert task.class_names[18] == "bicycle"
    assert (task.colors[13] * 255).int().tolist() == [0, 0, 142]
    with pytest.raises(UserError, match=r"label_7: there is no such folder"):
        CityscapesMTAN(tmp_path / "b", "train")
    with pytest.raises(UserError, match="7 or 19 classes, not 8"):
        CityscapesMTAN(tmp_path / "b", "train", classes=8)


def test_splits_are_found_by_names_only(root, tmp_path):
    assert CityscapesMTAN.find_splits(root) == ["train", "val"]
    assert CityscapesMTAN.find_splits(tmp_path / "absent") == []
    (root / "val/normal").mkdir()  # as NYU-v2 has
    assert CityscapesMTAN.find_splits(root) == []


@needs_shared
def test_the_published_split_fits(tmp_path):
    train = tmp_path / "train"
    for folder in ("image", "label_7", "depth"):
        (train / folder).mkdir(parents=True)
        for i in range(2975):
            (train / folder / f"{i}.npy").touch()
    image, depth = np.full((1, 2, 3), 0.5), np.full((1, 2, 1), 0.25)
    for i in (0, 9, 10, 2974):
        np.save(train / "image" / f"{i}.npy", image)
        np.save(train / "label_7" / f"{i}.npy", np.full((1, 2), i % 7))
        np.save(train / "depth" / f"{i}.npy", depth)
    dataset = CityscapesMTAN(tmp_path, "train")
    path = SHARED / "splits/cityscapes/onelabel.pth"
    mask = read_split(path).mask(dataset.keys, [*dataset.tasks])
    assert mask.sum(0).tolist() == [1487, 1488]
    assert (mask.sum(1) == 1).all()
    weights = torch.load(path, weights_only=True)["labels_weights"]
    assert torch.equal(mask, weights == 1), "row i should be image i"
    partial = PartialDataset(dataset, mask)
    for i in (0, 9, 10, 2974):
        assert [*partial[i].targets] == ["segmentation" if weights[i, 0] else "depth"]
        assert partial[i].key == str(i)


def test_a_batch_is_loaded_in_order(root):
    dataset = CityscapesMTAN(root, "train")
    specs = {name: task.target_spec for name, task in dataset.tasks.items()}
    loader = make_loader(PartialDataset(dataset, dataset.available), specs, batch_size=4, shuffle=False)
    batch = next(iter(loader))
    assert batch.keys == ("0", "1", "2", "3")
    assert batch.images.shape == (4, 3, 4, 8)
    assert batch.targets["segmentation"][:, 0, 0].tolist() == [0, 1, 2, 3]
    assert batch.valid["depth"].flatten(1).all(1).tolist() == [False, True, True, True], "depth 0 is unknown"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda train: (train / "image/5.npy").unlink(), r"image: 5.npy is missing, but there is 11.npy"),
        (
            lambda train: (train / "depth/3.npy").rename(train / "depth/03.npy"),
            r"3.npy is missing, but there is 03.npy",
        ),
        (lambda train: (train / "depth/11.npy").unlink(), r"depth: 11 files, but .*image has 12"),
        (lambda train: shutil.rmtree(train / "depth"), r"depth: there is no such folder"),
        (lambda train: [path.unlink() for path in (train / "depth").iterdir()], "depth: there is no array in it"),
    ],
)
def test_an_incomplete_tree_is_refused_at_once(root, change, message):
    change(root / "train")
    with pytest.raises(UserError, match=message) as error:
        CityscapesMTAN(root, "train")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "array", "message"),
    [
        ("image/7.npy", np.zeros((4, 9, 3)), r"7.npy: the image is 4x9 .* but 0.npy is 4x8"),
        ("image/7.npy", np.zeros((3, 4, 8)), r"7.npy: an image should be an array \(height, width, 3\)"),
        ("image/7.npy", np.full((4, 8, 3), 255.0), r"7.npy: an image should hold values from 0 to 1"),
        ("image/7.npy", np.full((4, 8, 3), np.nan), r"7.npy: an image should hold values from 0 to 1"),
        ("label_7/7.npy", np.zeros((8, 4)), r"7.npy: a label should have its image's size 4x8"),
        ("label_7/7.npy", np.full((4, 8), 7), r"7.npy: class index 7 at 32 pixels"),
        ("depth/7.npy", np.zeros((5, 8, 1)), r"7.npy: a label should have its image's size"),
        ("depth/7.npy", np.full((4, 8, 1), -1.0), r"7.npy: (inverse )?depth -1.0 at 32 pixels"),
    ],
)
def test_one_wrong_file_is_named_when_it_is_read(root, path, array, message):
    np.save(root / "train" / path, array)
    dataset = CityscapesMTAN(root, "train")
    assert dataset[6].key == "6"
    with pytest.raises(UserError, match=message):
        dataset[7]


def test_unknown_splits_tasks_and_folders_are_named(root):
    with pytest.raises(UserError, match="no split 'test': there are train, val"):
        CityscapesMTAN(root, "test")
    with pytest.raises(UserError, match="unknown task 'normals': cityscapes_mtan has segmentation, depth"):
        CityscapesMTAN(root, "train", tasks=["normals"])
    with pytest.raises(UserError, match="there is no such folder: give the folder of the cityscapes_mtan"):
        CityscapesMTAN(root / "absent", "train")
    with pytest.raises(UserError, match="there is no split in it: arrays should lie in"):
        CityscapesMTAN(root / "train" / "image", "train")
