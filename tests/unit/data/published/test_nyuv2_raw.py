"""NYU-v2 from MATLAB files, which are written here in the published formats: HDF5 with reversed axes, and version 5."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torch.utils.data import DataLoader

from mtpsl.data import NYUv2Raw, recognize
from mtpsl.data.published.nyu_classes import FORTY, FORTY_TO_THIRTEEN, THIRTEEN
from mtpsl.errors import UserError

COUNT, HEIGHT, WIDTH = 6, 30, 40


def save_images(path: Path, **arrays: np.ndarray) -> None:
    """MATLAB arrays (h, w, [3,] n) as MATLAB's version 7.3 stores them."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array.T, compression="gzip", chunks=(1, *array.T.shape[1:]))


def camera_plane(normal: np.ndarray, distance: float) -> np.ndarray:
    """Depth of a plane, with the published camera at the size of these images."""
    v, u = np.mgrid[:HEIGHT, :WIDTH] * 16 + 7.5  # centers of 16 x 16 pixels each
    rays = np.stack(((u - 325.58) / 518.86, -(v - 253.74) / 519.47, -np.ones(u.shape)), -1)
    return -distance / (rays @ normal)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six images; label numbers 1 to 894 stand for class 1 + (number - 1) % 40 of the 40."""
    root = tmp_path / "nyu"
    root.mkdir()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (HEIGHT, WIDTH, 3, COUNT), np.uint8)
    images[5, 7, :, 2] = 10, 20, 30
    depths = np.stack([camera_plane(np.array([0.6, 0, 0.8]), 1 + i) for i in range(COUNT)], -1).astype(np.float32)
    depths[3, 4, 2] = 0
    labels = np.zeros((HEIGHT, WIDTH, COUNT), np.uint16)
    labels[0, :, 2] = np.arange(WIDTH)
    labels[1, :2, 2] = 894, 41
    save_images(root / "nyu_depth_v2_labeled.mat", images=images, depths=depths, labels=labels)
    splits = {"trainNdxs": np.array([[3.0], [6.0]]), "testNdxs": np.array([[1.0], [2.0], [4.0], [5.0]])}
    savemat(root / "splits.mat", splits)
    mapping = (1 + np.arange(894) % 40)[None].astype(np.float64)
    savemat(root / "classMapping40.mat", {"mapClass": mapping})
    return root


def test_images_and_depth_have_their_axes_in_order(root):
    dataset = NYUv2Raw(root, "train")
    assert dataset.keys == ["0002", "0005"]
    assert NYUv2Raw(root, "val").keys == ["0000", "0001", "0003", "0004"]
    assert [*dataset.tasks] == ["segmentation", "depth", "normals"]
    assert dataset.available.all()
    sample = dataset[0]
    assert sample.image.shape == (3, HEIGHT, WIDTH)
    torch.testing.assert_close(sample.image[:, 5, 7] * 255, torch.tensor([10.0, 20.0, 30.0]))
    depth = camera_plane(np.array([0.6, 0, 0.8]), 3).astype(np.float32)
    depth[3, 4] = 0
    np.testing.assert_array_equal(sample.targets["depth"][0].numpy(), depth)
    assert (~sample.valid["depth"]).nonzero().tolist() == [[3, 4]]


def test_sizes_are_known_from_one_image(root, monkeypatch):
    dataset, seen = NYUv2Raw(root, "train", tasks=["depth"]), []
    read = dataset.file.read
    monkeypatch.setattr(dataset.file, "read", lambda *place: seen.append(place) or read(*place))
    sizes = {dataset.original_size(index) for index in range(len(dataset)) for _ in range(2)}
    assert sizes == {tuple(dataset[0].image.shape[-2:])}
    assert len(seen) < 4  # one for the sizes; image and depth of the sample


def test_labels_become_13_classes(root):
    sample = NYUv2Raw(root, "train", tasks=["segmentation"])[0]
    target, valid = sample.targets["segmentation"], sample.valid["segmentation"]
    assert valid[0].tolist() == [False, *[True] * 39]
    assert not valid[2:].any()
    # numbers 1, 2, ... are wall, floor, cabinet, bed, chair, sofa, table, door
    names = [THIRTEEN[i] for i in target[0, 1:9]]
    assert names == ["wall", "floor", "furniture", "bed", "chair", "sofa", "table", "wall"]
    # 894 is class 1 + 893 % 40 = 14, a desk; 41 is class 1 again
    assert [THIRTEEN[i] for i in target[1, :2]] == ["table", "wall"]


def test_labels_become_40_classes_that_the_file_may_name(root):
    dataset = NYUv2Raw(root, "train", tasks=["segmentation"], classes=40)
    sample = dataset[0]
    assert sample.targets["segmentation"][0].tolist() == [0, *range(39)]
    assert sample.targets["segmentation"][1, :2].tolist() == [13, 0]
    assert dataset.tasks["segmentation"].options()["class_names"] == FORTY
    mapping = np.ones((1, 894))
    names = np.array([[f"class {i}" for i in range(40)]], dtype=object)
    savemat(root / "classMapping40.mat", {"mapClass": mapping, "className": names})
    named = NYUv2Raw(root, "train", classes=40).tasks["segmentation"].options()["class_names"]
    assert named == [f"class {i}" for i in range(40)]
    with pytest.raises(UserError, match="13 or 40 classes, not 7"):
        NYUv2Raw(root, "train", classes=7)


def test_the_13_classes_summarize_the_40():
    summary = {FORTY[i]: THIRTEEN[number - 1] for i, number in enumerate(FORTY_TO_THIRTEEN)}
    assert len(summary) == 40
    assert {*summary.values()} == {*THIRTEEN}
    same = {name for name, thirteen in summary.items() if name == thirteen}
    assert same == {"bed", "books", "ceiling", "chair", "floor", "picture", "sofa", "table", "wall", "window"}
    assert (summary["television"], summary["floor mat"], summary["blinds"]) == ("tv", "floor", "window")
    assert (summary["dresser"], summary["pillow"]) == ("furniture", "objects")


def test_normals_are_computed_with_the_published_camera(root):
    sample = NYUv2Raw(root, "train")[1]
    valid = sample.valid["normals"]
    assert valid.float().mean() > 0.99
    normals = sample.targets["normals"][:, valid]
    torch.testing.assert_close(normals, torch.tensor([0.6, 0, 0.8])[:, None].expand_as(normals), atol=1e-3, rtol=0)
    assert not NYUv2Raw(root, "train")[0].valid["normals"][3, 4]


def test_normals_are_read_from_a_folder_instead(root):
    (root / "normals").mkdir()
    for row in range(COUNT):
        picture = np.full((HEIGHT, WIDTH, 3), (128, 127, 255), np.uint8)
        picture[0] = 127
        Image.fromarray(picture).save(root / "normals" / f"{row:04d}.png")
    vectors = np.zeros((HEIGHT, WIDTH, 3))
    vectors[..., 1] = 0.8
    np.save(root / "normals/0005.npy", vectors)
    (root / "normals/0005.png").unlink()
    dataset = NYUv2Raw(root, "train", tasks=["normals"])
    first, second = dataset[0], dataset[1]
    assert not first.valid["normals"][0].any()
    assert first.valid["normals"][1:].all()
    torch.testing.assert_close(first.targets["normals"][:, 1, 0], torch.tensor([0.0, 0, 1]), atol=0.005, rtol=0)
    assert second.targets["normals"][:, 4, 4].tolist() == [0, 1, 0]


def test_a_folder_of_normals_that_counts_from_one_is_noticed(root):
    (root / "normals").mkdir()
    for row in range(1, COUNT + 1):
        (root / "normals" / f"{row:04d}.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"normals: there is 0006\.png: it should hold 0000\.png to 0005\.png"):
        NYUv2Raw(root, "train")
    (root / "normals/0006.png").unlink()
    with pytest.raises(UserError, match=r"normals: 0000\.png \(or \.npy\) is missing"):
        NYUv2Raw(root, "train")
    assert len(NYUv2Raw(root, "train", tasks=["depth"])) == 2


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_workers_read_what_the_parent_reads(root):
    dataset = NYUv2Raw(root, "val", tasks=["depth"])
    here = [dataset[i].targets["depth"] for i in range(4)]  # the parent has the file open when it forks
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="fork")
    there = [sample.targets["depth"] for sample in loader]
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[3].targets["depth"], here[3])


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("nyu_depth_v2_labeled.mat", "labelled data set .* of the NYU Depth Dataset V2"),
        ("splits.mat", "train/test split from the page of the NYU Depth Dataset V2"),
        ("classMapping40.mat", "40 classes of Gupta et al"),
    ],
)
def test_a_missing_file_is_named_with_its_origin(root, file, message):
    (root / file).unlink()
    with pytest.raises(UserError, match=f"{file}: is missing: put it there; it is .*{message}"):
        NYUv2Raw(root, "train")
    if file == "classMapping40.mat":
        assert len(NYUv2Raw(root, "train", tasks=["depth", "normals"])) == 2


def test_damaged_and_foreign_files_are_refused(root, tmp_path):
    images = root / "nyu_depth_v2_labeled.mat"
    whole = images.read_bytes()
    images.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"nyu_depth_v2_labeled\.mat: .*damaged or incomplete"):
        NYUv2Raw(root, "train")
    save_images(images, images=np.zeros((2, 2, 3, 4), np.uint8))
    with pytest.raises(UserError, match="has no array 'labels', only images"):
        NYUv2Raw(root, "train")
    depths = np.ones((2, 2, 5), np.float32)
    save_images(images, images=np.zeros((2, 2, 3, 6), np.uint8), depths=depths, labels=depths.astype(np.uint16))
    with pytest.raises(UserError, match="as many rows each, not images 6, labels 5, depths 5"):
        NYUv2Raw(root, "train")
    images.write_bytes(whole)
    for numbers in ([0.0, 1], [7.0, 1], [1.5], [2, 2]):
        savemat(root / "splits.mat", {"trainNdxs": np.array(numbers)})
        with pytest.raises(UserError, match=r"splits\.mat: 'trainNdxs'"):
            NYUv2Raw(root, "train")
    savemat(root / "splits.mat", {"trainNdxs": np.array([1.0])})
    with pytest.raises(UserError, match=r"splits\.mat: has no variable 'testNdxs', only trainNdxs"):
        NYUv2Raw(root, "val")
    savemat(root / "classMapping40.mat", {"mapClass": np.array([[1, 41]])})
    with pytest.raises(UserError, match=r"classMapping40\.mat: 'mapClass' should hold whole numbers from 1 to 40"):
        NYUv2Raw(root, "train")
    (root / "classMapping40.mat").write_bytes(b"no such format")
    with pytest.raises(UserError, match=r"classMapping40\.mat: cannot be read as a MATLAB file"):
        NYUv2Raw(root, "train")


def test_a_label_number_without_a_class_is_named(root):
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["labels"][2, 9, 9] = 895
    with pytest.raises(UserError, match=r"nyu_depth_v2_labeled\.mat: class index 895 at 1 pixel, but"):
        NYUv2Raw(root, "train")[0]


def test_the_layout_is_recognized(root, tmp_path):
    assert recognize(root) == "nyuv2_raw"
    assert NYUv2Raw.find_splits(root) == ["train", "val"]
    assert NYUv2Raw.find_splits(tmp_path) == []
    assert NYUv2Raw.published == {"train": 795, "val": 654}
    with pytest.raises(UserError, match="no split 'test': there are train, val"):
        NYUv2Raw(root, "test")
    with pytest.raises(UserError, match=r"it should hold nyu_depth_v2_labeled\.mat and splits\.mat"):
        NYUv2Raw(tmp_path, "train")
