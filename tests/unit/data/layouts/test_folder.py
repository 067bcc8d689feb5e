"""A data set in folders: which files make a sample, and which trees are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from builders import SHARED, needs_shared
from mtpsl.data import FolderDataset
from mtpsl.data.label_lists import read_split
from mtpsl.data.registry import open_layout
from mtpsl.errors import UserError

DESCRIPTION = """
name: small
tasks:
  segmentation: {classes: [floor, wall, box], ignore: 255}
  depth: {scale: 0.001, missing: 0, unit: m}
  normals: {offset: 128, divisor: 127}
  edges: {ignore: 255}
"""
DESCRIPTIONS = Path(__file__).parents[4] / "benchmarks" / "data"


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five images a to e: a has all labels, b two, c one in npy, d none, e one."""
    random = np.random.default_rng(0)
    train = tmp_path / "set" / "train"
    for number, key in enumerate("abcde"):
        write(
            train / "image" / f"{key}.{'jpg' if key == 'b' else 'png'}", random.integers(0, 256, (12, 16, 3), np.uint8)
        )
        if key in "ab":
            write(train / "segmentation" / f"{key}.png", np.full((12, 16), number, np.uint8))
        if key in "abe":
            write(train / "depth" / f"{key}.png", np.full((12, 16), 1000 * (number + 1), np.uint16))
    write(train / "normals" / "a.png", np.full((12, 16, 3), (128, 128, 255), np.uint8))
    write(train / "edges" / "a.png", np.eye(12, 16, dtype=np.uint8))
    np.save(train / "edges" / "c.npy", np.zeros((12, 16)))
    (tmp_path / "set" / "val" / "image").mkdir(parents=True)
    (tmp_path / "set" / "dataset.yaml").write_text(DESCRIPTION)
    return tmp_path / "set"


def test_files_say_which_labels_are_available(root):
    dataset = FolderDataset(root, "train")
    assert dataset.name == "small"
    assert dataset.keys == ["a", "b", "c", "d", "e"]
    assert [*dataset.tasks] == ["segmentation", "depth", "normals", "edges"]
    assert dataset.available.int().tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert [[*sample.targets] for sample in (dataset[i] for i in range(len(dataset)))] == [
        ["segmentation", "depth", "normals", "edges"],
        ["segmentation", "depth"],
        ["edges"],
        [],
        ["depth"],
    ]


def test_a_sample_fits_its_tasks(root):
    dataset = FolderDataset(root, "train")
    sample = dataset[0]
    assert sample.key == "a"
    assert sample.image.shape == (3, 12, 16)
    for name, task in dataset.tasks.items():
        assert sample.targets[name].shape == task.target_spec.shape(12, 16)
        assert sample.targets[name].dtype == task.target_spec.dtype
        assert sample.valid[name].dtype == torch.bool
        assert sample.valid[name].all()
    assert (dataset[4].targets["depth"] == 5).all()


def test_tasks_are_restricted_in_the_descriptions_order(root):
    dataset = FolderDataset(root, "train", tasks=["edges", "depth"])
    assert [*dataset.tasks] == ["depth", "edges"]
    assert dataset.available.int().tolist() == [[1, 1], [1, 0], [0, 1], [0, 0], [1, 0]]
    with pytest.raises(UserError, match="unknown task 'saliency'"):
        FolderDataset(root, "train", tasks=["saliency"])


def test_only_the_files_of_the_wanted_tasks_are_opened(root):
    (root / "train/segmentation/a.png").write_bytes(b"broken")
    dataset = FolderDataset(root, "train")
    assert [*dataset.read(0, ["depth", "edges"]).targets] == ["depth", "edges"]
    with pytest.raises(UserError, match=r"segmentation/a\.png"):
        dataset.read(0, ["segmentation"])
    with pytest.raises(ValueError, match="unknown task 'saliency'"):
        dataset.read(0, ["saliency"])


def test_image_and_labels_are_resized_together(root):
    picture = np.zeros((12, 16, 3), np.uint8)
    picture[:, 8:] = 255
    write(root / "train/image/a.png", picture)
    write(root / "train/segmentation/a.png", picture[:, :, 0] // 255)
    for size in [(6, 8), (24, 32), (5, 30)]:
        sample = FolderDataset(root, "train", size=size)[0]
        assert sample.image.shape == (3, *size)
        for name, target in sample.targets.items():
            assert target.shape[-2:] == sample.valid[name].shape == size
        assert torch.equal(sample.targets["segmentation"], (sample.image[0] > 0.5).long())
    with pytest.raises(UserError, match="size"):
        FolderDataset(root, "train", size=(0, 8))


def test_the_description_may_lie_elsewhere(root, tmp_path):
    (root / "dataset.yaml").rename(tmp_path / "other.yaml")
    assert len(FolderDataset(root, "train", description=tmp_path / "other.yaml")) == 5
    with pytest.raises(UserError, match=r"dataset\.yaml"):
        FolderDataset(root, "train")


def test_capital_suffixes_hidden_files_and_notes_are_fine(root):
    (root / "train/image/e.png").rename(root / "train/image/e.PNG")
    (root / "train/image/.DS_Store").write_bytes(b"")
    (root / "train/depth/notes.txt").write_text("measured")
    assert len(FolderDataset(root, "train")) == 5


TREES = {
    "a missing root": (lambda root: shutil.rmtree(root), "set: there is no such folder"),
    "no image folder": (
        lambda root: [shutil.rmtree(root / split / "image") for split in ("train", "val")],
        "no split in it",
    ),
    "a missing split": (lambda root: (root / "train").rename(root / "fit"), "no split 'train': there are fit, val"),
    "no image": (
        lambda root: [path.unlink() for path in (root / "train/image").iterdir()],
        "train/image: there is no image",
    ),
    "two images of one name": (
        lambda root: shutil.copy(root / "train/image/b.jpg", root / "train/image/a.jpg"),
        "train/image: a second file of the same name: a.png",
    ),
    "two labels of one name": (
        lambda root: np.save(root / "train/depth/a.npy", np.ones((12, 16))),
        "train/depth: a second",
    ),
    "a label without image": (
        lambda root: (root / "train/depth/b.png").rename(root / "train/depth/b_depth.png"),
        "train/depth: no image belongs to b_depth.png",
    ),
    "labels of another kind": (
        lambda root: (root / "train/depth/b.png").rename(root / "train/depth/b.tif"),
        "files should be .png, .npy, not b.tif",
    ),
    "images of another kind": (
        lambda root: (root / "train/image/b.jpg").rename(root / "train/image/b.heic"),
        "files should be .png, .jpg, .jpeg, .jfif, .bmp, .webp, .gif, .tif, .tiff, .avif, not b.heic",
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_a_wrong_tree_is_refused_when_the_data_set_is_made(root, name):
    spoil, message = TREES[name]
    FolderDataset(root, "train")
    spoil(root)
    with pytest.raises(UserError) as caught:
        FolderDataset(root, "train")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pictures_in_sub_folders_are_read_with_their_labels(root):
    for task in ("image", "depth"):
        shutil.copytree(root / "train" / task, root / "train" / task / "scene7" / "first")
        shutil.copytree(root / "train" / task, root / "train" / task / ".thumbnails")
    dataset = FolderDataset(root, "train")
    assert dataset.keys == [*"abcde", *(f"scene7/first/{key}" for key in "abcde")]
    assert dataset.available[:, 1].int().tolist() == [1, 1, 0, 0, 1] * 2
    assert torch.equal(dataset[5].image, dataset[0].image)
    shutil.move(root / "train/depth/scene7/first/b.png", root / "train/depth/scene7/b.png")
    with pytest.raises(UserError, match=r"train/depth: no image belongs to scene7/b\.png"):
        FolderDataset(root, "train")


def test_folders_may_be_links_even_to_one_around_them(root):
    shutil.move(root / "train/image", root / "pictures")
    (root / "train/image").symlink_to(root / "pictures")
    (root / "pictures/again").symlink_to(root / "pictures")
    (root / "train/more").mkdir()
    for name in ("f.png", "g.png"):
        shutil.copy(root / "pictures/a.png", root / "train/more" / name)
    (root / "pictures/more").symlink_to(root / "train/more")
    assert FolderDataset(root, "train").keys == [*"abcde", "more/f", "more/g"]


@pytest.mark.parametrize("kind", ["image", "depth"])
def test_a_link_to_nothing_is_no_missing_label(root, kind):
    path = root / "train" / kind / "a.png"
    path.rename(path.with_name("kept"))
    path.symlink_to("/old/disk/a.png")
    with pytest.raises(UserError, match=rf"train/{kind}: links to nothing: a\.png \(/old/disk/a\.png\): mend"):
        FolderDataset(root, "train")
    path.unlink()
    path.symlink_to("kept")
    assert len(FolderDataset(root, "train")) == 5


def test_names_in_two_forms_of_unicode_belong_together(root, tmp_path):
    composed, apart = "Stra\u00dfe \u00fc", "Stra\u00dfe u\u0308"
    for kind, name in {"image": composed, "depth": apart}.items():
        (root / "train" / kind / "b.png").unlink(missing_ok=True)
        shutil.copy(root / "train" / kind / "a.png", root / "train" / kind / f"{name}.png")
    (root / "train/image/b.jpg").unlink()
    (root / "train/segmentation/b.png").unlink()
    dataset = FolderDataset(root, "train")
    assert dataset.available[dataset.keys.index(composed)].tolist() == [False, True, False, False]
    for name in (composed, apart):  # as it comes from an editor or from a listing
        (tmp_path / "list.yaml").write_text(f"depth: ['{name}']", encoding="utf-8")
        mask = read_split(tmp_path / "list.yaml").mask(dataset.keys, ["depth"])
        assert mask[dataset.keys.index(composed)].item()
    shutil.copy(root / "train/image/a.png", root / "train/image" / f"{apart}.png")
    with pytest.raises(UserError, match="a second file of the same name"):
        FolderDataset(root, "train")


def test_splits_are_found_under_the_names_that_people_give_them(root):
    (root / "train").rename(root / "Train")
    for name in ("valid", "Validation", "VAL"):
        (root / "val").rename(root / name)
        assert open_layout("folder", root, "train").keys == [*"abcde"]
        shutil.copytree(root / "Train/image", root / name / "image", dirs_exist_ok=True)
        assert open_layout("folder", root, "val").keys == [*"abcde"]
        (root / name).rename(root / "val")
    shutil.copytree(root / "val", root / "valid")
    assert open_layout("folder", root, "val").split == "val"
    (root / "val").rename(root / "validation")
    with pytest.raises(UserError, match="no split 'val': there are Train, valid, validation"):
        open_layout("folder", root, "val")


def test_a_label_of_another_size_than_its_image_is_refused(root):
    write(root / "train/depth/b.png", np.ones((16, 12), np.uint16))
    with pytest.raises(UserError, match=r"depth/b\.png: .* 12x16 \(height x width\), not 16x12"):
        FolderDataset(root, "train", size=(6, 8))[1]


@needs_shared
@pytest.mark.parametrize(
    ("name", "tasks"), [("indoor", ["segmentation", "depth", "normals"]), ("camvid", ["segmentation", "edges"])]
)
def test_the_shared_sets_are_read_with_their_descriptions(name, tasks):
    for split in ("train", "val"):
        dataset = FolderDataset(
            SHARED / "data" / name, split, size=(96, 128), description=DESCRIPTIONS / f"{name}.yaml"
        )
        assert [*dataset.tasks] == tasks
        assert dataset.available.all()
        assert dataset[len(dataset) - 1].image.shape == (3, 96, 128)


@needs_shared
def test_decoded_values_of_the_shared_sets_fit_each_other():
    indoor = FolderDataset(SHARED / "data/indoor", "train", description=DESCRIPTIONS / "indoor.yaml")
    sample = indoor[0]
    assert 0.2 <= sample.targets["depth"][0][sample.valid["depth"]].min() <= 6.7
    # the camera sees every surface from its front, up to the angle between a pixel's ray and the axis
    assert (sample.targets["normals"][2][sample.valid["normals"]] > -0.6).all()
    camvid = FolderDataset(SHARED / "data/camvid", "train", description=DESCRIPTIONS / "camvid.yaml")
    sample = camvid[0]
    labels, known = sample.targets["segmentation"], sample.valid["segmentation"]
    differs = (labels[:-1] != labels[1:]) & known[:-1] & known[1:]
    assert (sample.targets["edges"][0, :-1] == 1)[differs].all()
