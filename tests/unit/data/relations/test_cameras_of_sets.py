"""The camera of all images of a data set: it reaches them, labels that follow, converted and merged sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from mtpsl.data import FolderDataset, MergedDataset, PartialDataset, convert_dataset
from mtpsl.data.registry import open_layout
from mtpsl.errors import UserError

SIZE = (24, 40)
CAMERA: dict[str, Any] = {"focal": [60.0, 50.0], "center": [37.0, 26.0], "size": [48, 80]}
TABLE: dict[str, Any] = {"file": "v.csv", "split": "split", "name": "id", "focal": ["fx", 25.0], "size": [*SIZE]}


def write(root: Path, camera: Any = None, *, normals: dict[str, Any] | None = None, own: bool = True) -> Path:
    """Three images of a wall with depth, and normals of their own or that follow; rows for a table of two cameras."""
    for split in ("train", "val"):
        for kind in ("image", "depth", "normals") if own else ("image", "depth"):
            (root / split / kind).mkdir(parents=True, exist_ok=True)
        for name in "abc":
            Image.new("RGB", SIZE[::-1], (90, 80, 70)).save(root / split / "image" / f"{name}.png")
            np.save(root / split / "depth" / f"{name}.npy", np.full(SIZE, 2.0, np.float32))
            if own:
                label = np.broadcast_to(np.array([0, 0, 1], np.float32), (*SIZE, 3)).copy()
                np.save(root / split / "normals" / f"{name}.npy", label)
    content: dict[str, Any] = {"name": "walls", "tasks": {"depth": {}, "normals": normals or {}}}
    if camera is not None:
        content["camera"] = camera
    (root / "dataset.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (root / "v.csv").write_text("split,id,fx\ntrain,a,30\ntrain,c,33\nval,b,36\n")
    return root


def cameras(dataset: FolderDataset | MergedDataset) -> list[list[list[float]] | None]:
    partial = PartialDataset(dataset, dataset.available)
    found = [partial[index].camera for index in range(len(partial))]
    return [None if camera is None else camera.tolist() for camera in found]


def test_it_reaches_images_of_which_no_label_follows(tmp_path: Path):
    # half as large as the camera's images: half the focal length, (37 + 0.5) / 2 - 0.5 = 18.25, (26 + 0.5) / 2 - 0.5
    dataset = FolderDataset(write(tmp_path, CAMERA), "train")
    assert dataset.has_cameras
    assert dataset.derived_from is None
    assert cameras(dataset) == [[[30.0, 0.0, 18.25], [0.0, 25.0, 12.75], [0.0, 0.0, 1.0]]] * 3
    small = FolderDataset(tmp_path, "train", size=(12, 40))
    assert cameras(small) == [[[30.0, 0.0, 18.25], [0.0, 12.5, 6.125], [0.0, 0.0, 1.0]]] * 3


def test_a_table_gives_each_image_its_own_and_may_lack_some(tmp_path: Path):
    first, second, third = cameras(FolderDataset(write(tmp_path, TABLE), "train"))
    assert first == [[30.0, 0.0, 19.5], [0.0, 25.0, 11.5], [0.0, 0.0, 1.0]]
    assert second is None
    assert third == [[33.0, 0.0, 19.5], [0.0, 25.0, 11.5], [0.0, 0.0, 1.0]]


def test_a_table_without_any_image_of_the_split_is_refused(tmp_path: Path):
    root = write(tmp_path, TABLE)
    (root / "v.csv").write_text("split,id,fx\ntrain,x,30\nval,b,30\n")
    with pytest.raises(UserError, match=r"v\.csv: has no camera of any image of train: add rows"):
        FolderDataset(root, "train")
    assert FolderDataset(root, "val").has_cameras


def test_labels_follow_with_it_unless_their_task_has_its_own(tmp_path: Path):
    """A wall that is slanted along x: the focal length scales the slope."""
    ramp = np.broadcast_to(2 + 0.0 * np.arange(SIZE[1]), SIZE)
    inverse = 0.5 + 0.004 * np.arange(SIZE[1])
    for number, (normals, focal) in enumerate(
        [({"from": "depth"}, 30.0), ({"from": "depth", "camera": {**CAMERA, "focal": 100}}, 50.0)]
    ):
        root = write(tmp_path / str(number), CAMERA, normals=normals, own=False)
        np.save(root / "train/depth/a.npy", (ramp / 2 / inverse).astype(np.float32))
        dataset = FolderDataset(root, "train")
        target, valid = dataset.derive(0, "normals")
        across = -0.004 * focal
        forward = inverse[20] + 0.004 * (18.25 - 20)
        expected = np.array([across, 0, forward]) / np.hypot(across, forward)
        assert valid.all()
        np.testing.assert_allclose(target[:, 12, 20], expected, atol=2e-5)
        found = dataset.camera(0)
        assert found is not None
        assert found[0, 0] == focal


def test_an_image_from_which_a_label_follows_needs_a_row(tmp_path: Path):
    root = write(tmp_path, TABLE, normals={"from": "depth"})
    with pytest.raises(UserError, match=r"v\.csv: has no camera of image 'b' of train: add a row"):
        FolderDataset(root, "train")
    (root / "train/depth/b.npy").unlink()
    assert FolderDataset(root, "train").camera(1) is None


def test_it_is_opened_only_where_tasks_are_read_that_it_relates(tmp_path: Path):
    root = write(tmp_path, {**TABLE, "file": "absent.csv"})
    assert not FolderDataset(root, "train", tasks=["depth"]).has_cameras
    with pytest.raises(UserError, match=r"absent\.csv: cannot be read as the table of cameras"):
        FolderDataset(root, "train")


BROKEN: dict[str, tuple[Any, str]] = {
    "nothing": ("", "`camera` should be as {focal: 500, size: [480, 640]}"),
    "a focal length of zero": ({**CAMERA, "focal": 0}, "`focal` should be positive lengths in pixels, not 0 and 0"),
    "a negative one": ({**CAMERA, "focal": [60, -1]}, "`focal` should be positive lengths in pixels, not 60 and -1"),
    "an endless one": ({**CAMERA, "focal": float("inf")}, "`focal` should be positive lengths in pixels"),
    "no size": ({"focal": 60}, "`size` of `camera` should be the height and width"),
    "an unknown key": ({**CAMERA, "fov": 1}, "`camera` has the unknown key 'fov'"),
    "images of another shape": ({**CAMERA, "size": [48, 48]}, "image 'a': the camera is that of images of 48x48"),
    "a row without number": ({**TABLE, "focal": "id"}, "column 'id' of image 'a' should be a number, not 'a'"),
    "no such column": ({**TABLE, "focal": "f"}, "v.csv: has no column 'f': there are split, id, fx"),
    "a file elsewhere": ({**TABLE, "file": "../v.csv"}, "below the data set's folder"),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("normals", [{}, {"from": "depth"}], ids=["own", "following"])
def test_a_wrong_one_is_one_line(tmp_path: Path, what: str, normals: dict[str, Any]):
    camera, said = BROKEN[what]
    root = write(tmp_path, camera, normals=normals)
    (root / "train/depth/b.npy").unlink()  # it needs no camera
    with pytest.raises(UserError) as error:
        FolderDataset(root, "train")
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert str(root) in str(error.value)


def test_an_image_of_another_shape_has_none(tmp_path: Path):
    root = write(tmp_path, CAMERA)
    Image.new("RGB", (24, 24)).save(root / "train/image/b.png")
    assert FolderDataset(root, "train").camera(1) is None


@pytest.mark.parametrize("to", ["packed", "shards", "folder"])
@pytest.mark.parametrize("camera", [CAMERA, TABLE], ids=["one", "table"])
@pytest.mark.parametrize("size", [None, (12, 20)])
def test_a_converted_set_has_it(tmp_path: Path, to: str, camera: dict[str, Any], size: tuple[int, int] | None):
    root = write(tmp_path / "source", camera)
    convert_dataset(root, tmp_path / "out", to=to, size=size, progress=False)
    for split in ("train", "val"):
        assert cameras(open_layout(to, tmp_path / "out", split)) == cameras(FolderDataset(root, split, size=size))


@pytest.mark.parametrize("to", ["packed", "shards", "folder"])
def test_labels_of_a_converted_set_follow_with_it(tmp_path: Path, to: str):
    root = write(tmp_path / "source", TABLE, normals={"from": "depth"})
    for name in ("train/depth/b", "val/depth/a", "val/depth/c"):
        (root / f"{name}.npy").unlink()
    convert_dataset(root, tmp_path / "out", to=to, progress=False)
    for split in ("train", "val"):
        source, out = FolderDataset(root, split), open_layout(to, tmp_path / "out", split)
        assert cameras(out) == cameras(source)
        assert out.follows == source.follows == {"normals": "depth"}
        assert out.relations["normals"].cameras is out.cameras
        index = int(source.available[:, 0].nonzero()[0])
        assert torch.equal(out.derive(index, "normals")[0], source.derive(index, "normals")[0])


def test_images_of_a_merged_set_have_that_of_their_source(tmp_path: Path):
    write(tmp_path / "a", CAMERA)
    write(tmp_path / "b")
    (tmp_path / "m.yaml").write_text("size: [24, 40]\nsources: {b: {root: b}, a: {root: a}}\n")
    merged = MergedDataset(tmp_path / "m.yaml", "train")
    assert merged.has_cameras
    assert [camera is None for camera in cameras(merged)] == [True] * 3 + [False] * 3
