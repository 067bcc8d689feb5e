"""Taskonomy: a folder per task, a list of buildings."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtpsl.data.published.taskonomy import CLASSES, Taskonomy
from mtpsl.errors import UserError

LIST = "id,train,val,test\nhanson,1,0,0\nallensville,1,0,0\ntomkins,1,0,0\ndarden,0,1,0\n"
DOMAINS = {"rgb": "rgb", "depth_zbuffer": "depth_zbuffer", "normal": "normal", "segment_semantic": "segmentsemantic"}


def file(root: Path, domain: str, building: str, point: int, view: int, inner: str = "taskonomy") -> Path:
    return root / domain / inner / building / f"point_{point}_view_{view}_domain_{DOMAINS[domain]}.png"


def png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def add(root: Path, building: str, point: int, view: int, inner: str = "taskonomy") -> None:
    where = (building, point, view, inner)
    png(file(root, "rgb", *where), np.full((2, 6, 3), 51, np.uint8))
    depth = np.array([[0, 1, 512, 5120, 65534, 65535], [1024] * 6], np.uint16)
    png(file(root, "depth_zbuffer", *where), depth)
    up, right = (128, 255, 128), (255, 127, 127)
    normals = [[up, right, (127, 127, 127), (128, 128, 128), (0, 0, 0), (190, 190, 128)], [up] * 6]
    png(file(root, "normal", *where), np.array(normals, np.uint8))
    png(file(root, "segment_semantic", *where), np.array([[0, 1, 2, 16, 17, 3], [1] * 6], np.uint8))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    add(tmp_path, "hanson", 10, 2)
    add(tmp_path, "hanson", 2, 0)
    add(tmp_path, "allensville", 7, 11)
    add(tmp_path, "allensville", 7, 3)
    add(tmp_path, "darden", 0, 0)
    (tmp_path / "train_val_test_tiny.csv").write_text(LIST)
    return tmp_path


def test_files_become_images_labels_and_masks(root):
    sample = Taskonomy(root, "train")[0]
    assert sample.image.unique().tolist() == [pytest.approx(0.2)]
    assert sample.targets["depth"][0, 0].tolist() == pytest.approx([0, 1 / 512, 1, 10, 65534 / 512, 0])
    assert sample.valid["depth"][0].tolist() == [False, True, True, True, True, False]
    assert sample.targets["segmentation"][0].tolist() == [0, 0, 1, 15, 16, 2]
    assert sample.valid["segmentation"][0].tolist() == [False, True, True, True, True, True]
    assert sample.targets["normals"][:, 0, 0].tolist() == pytest.approx([0, 1, 0], abs=0.005)
    assert sample.targets["normals"][:, 0, 1].tolist() == pytest.approx([1, 0, 0], abs=0.005)
    assert sample.valid["normals"][0].tolist() == [True, True, False, False, False, False]
    assert sample.valid["normals"][1].all()
    assert not sample.targets["normals"][:, 0, 2:].any()


def test_classes_are_the_stored_numbers_from_background_on():
    assert len(CLASSES) == 17
    assert [CLASSES[stored - 1] for stored in (1, 2, 9, 17)] == ["background", "bottle", "tv", "vase"]


def test_views_are_in_the_order_of_building_point_and_view(root):
    dataset = Taskonomy(root, "train")
    assert dataset.name == "taskonomy"
    assert [*dataset.tasks] == ["segmentation", "depth", "normals"]
    assert dataset.keys == [
        "allensville_point_7_view_3",
        "allensville_point_7_view_11",
        "hanson_point_2_view_0",
        "hanson_point_10_view_2",
    ]
    assert dataset.available.all()
    assert Taskonomy(root, "val").keys == ["darden_point_0_view_0"]


def test_the_folder_of_the_component_may_be_left_out(tmp_path):
    add(tmp_path, "hanson", 0, 0, "")
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/train_val_test_debug.csv").write_text("id,train,val,test\nhanson,1,0,0\n")
    assert len(Taskonomy(tmp_path, "train")[0].targets) == 3
    assert Taskonomy.find_splits(tmp_path) == ["train"]
    with pytest.raises(UserError, match="there is no split 'val': there are train"):
        Taskonomy(tmp_path, "val")


def test_several_lists_are_told_apart_by_name(root):
    (root / "train_val_test_medium.csv").write_text(LIST + "merom,1,0,0\n")
    assert {"tiny-train", "medium-val"} < {*Taskonomy.find_splits(root)}
    assert len(Taskonomy(root, "tiny-train")) == 4
    with pytest.raises(UserError, match=r"no split 'train': there are .*tiny-train"):
        Taskonomy(root, "train")
    with pytest.raises(UserError, match=r"merom: there is no such folder \(1 of 4 buildings of 'medium-train'"):
        Taskonomy(root, "medium-train")


@pytest.mark.parametrize("ending", ["\r", "\r\n"])
def test_a_list_may_end_its_lines_in_any_way(root, ending):
    (root / "train_val_test_tiny.csv").write_bytes(LIST.replace("\n", ending).encode())
    assert len(Taskonomy(root, "train")) == 4


def test_a_view_may_lack_a_label_or_a_picture(root):
    file(root, "depth_zbuffer", "hanson", 2, 0).unlink()
    file(root, "rgb", "hanson", 10, 2).unlink()
    dataset = Taskonomy(root, "train")
    assert dataset.available.tolist() == [[True] * 3, [True] * 3, [True, False, True]]
    assert [*dataset[2].targets] == ["segmentation", "normals"]


def test_one_task_needs_no_folder_of_the_others(root):
    shutil.rmtree(root / "segment_semantic")
    shutil.rmtree(root / "normal")
    assert [*Taskonomy(root, "train", tasks=["depth"])[0].targets] == ["depth"]
    with pytest.raises(UserError, match=r"segment_semantic: .*download segment_semantic.*--data.tasks depth,normals"):
        Taskonomy(root, "train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root / "rgb/taskonomy/hanson"), r"hanson: there is no such folder \(1 of 3"),
        (
            lambda root: (root / "train_val_test_tiny.csv").unlink(),
            "there is no split in it: pictures should lie in rgb",
        ),
        (lambda root: (root / "train_val_test_tiny.csv").write_text("hanson\n"), "published list of buildings"),
        (
            lambda root: (root / "train_val_test_tiny.csv").write_text(LIST + "merom,2,0,0"),
            "published list of buildings",
        ),
        (lambda root: (root / "train_val_test_tiny.csv").write_bytes(b"\xff\xfe\x00"), "published list of buildings"),
        (lambda root: (root / "train_val_test_tiny.csv").write_text(""), "published list of buildings"),
    ],
)
def test_an_incomplete_tree_is_refused_at_once(root, change, message):
    change(root)
    with pytest.raises(UserError, match=message) as error:
        Taskonomy(root, "train")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("domain", "array", "message"),
    [
        ("segment_semantic", np.full((2, 6), 18, np.uint8), "class index 18 at 12 pixels, but"),
        ("normal", np.full((2, 6, 3), 255, np.uint8), "normals of length 1.73"),
        ("depth_zbuffer", np.full((2, 5), 7, np.uint16), "should have its image's size 2x6"),
        ("depth_zbuffer", np.arange(36, dtype=np.uint8).reshape(2, 6, 3), "should have 1 channel"),
    ],
)
def test_one_wrong_file_is_named_when_it_is_read(root, domain, array, message):
    path = file(root, domain, "hanson", 2, 0)
    png(path, array)
    with pytest.raises(UserError, match=message) as error:
        Taskonomy(root, "train")[2]
    assert str(path) in str(error.value)
