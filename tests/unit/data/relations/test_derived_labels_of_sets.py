"""Labels that follow from others: their values by hand, and that no hidden label is ever opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from builders import SHARED, needs_shared
from mtpsl.data import FolderDataset, MergedDataset, PartialDataset, check_dataset, convert_dataset, label_mask
from mtpsl.data.partial import scored_dataset
from mtpsl.data.registry import open_layout
from mtpsl.errors import UserError

SIZE = (24, 40)
FOCAL, CENTER = (30.0, 25.0), (18.0, 12.5)
NORMAL = np.array([0.48, -0.36, 0.8])
CAMERA = {"focal": [*FOCAL], "center": [*CENTER], "size": [*SIZE]}
TASKS: dict[str, Any] = {
    "segmentation": {"classes": 3, "ignore": 255},
    "depth": {},
    "normals": {"from": "depth", "camera": CAMERA},
    "edges": {"ignore": 255, "from": "segmentation"},
}
BENCHMARKS = Path(__file__).parents[4] / "benchmarks" / "data"


def plane(normal: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Depth of the plane at distance 2 with a normal whose x points right, y up and z to the viewer."""
    v, u = np.mgrid[: size[0], : size[1]].astype(float)
    rays = np.stack(((u - CENTER[0]) / FOCAL[0], -(v - CENTER[1]) / FOCAL[1], -np.ones(size)), -1)
    return -2 / (rays @ normal)


def write(root: Path, count: int = 6, *, stored: tuple[str, ...] = ("segmentation", "depth"), **tasks: Any) -> Path:
    """Tilted planes; normals and edges that are stored say something else than what follows."""
    described = {**TASKS, **tasks}
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("image", *stored):
            (root / split / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            labels: dict[str, np.ndarray] = {
                "segmentation": random.choice(np.array([0, 1, 2, 255], np.uint8), SIZE),
                "depth": plane(NORMAL).astype(np.float32),
                "normals": np.broadcast_to(np.array([1, 0, 0], np.float32), (*SIZE, 3)).copy(),
                "edges": np.eye(*SIZE, dtype=np.uint8),
            }
            Image.fromarray(random.integers(0, 256, (*SIZE, 3), np.uint8)).save(root / f"{split}/image/{number}.png")
            for kind in stored:
                np.save(root / split / kind / f"{number}.npy", labels[kind])
    (root / "dataset.yaml").write_text(yaml.safe_dump({"name": "planes", "tasks": described}, sort_keys=False))
    return root


def test_a_tilted_plane_gives_its_normal(tmp_path: Path):
    dataset = FolderDataset(write(tmp_path), "train")
    target, valid = dataset.derive(0, "normals")
    assert valid.all()
    assert target.dtype == torch.float32
    expected = torch.tensor(NORMAL, dtype=torch.float32)[:, None, None].expand(3, *SIZE)
    torch.testing.assert_close(target, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("entry", "sign"),
    [({"y_axis": "down"}, (1, -1, 1)), ({"radius": 1}, (1, 1, 1)), ({"radius": 4, "misfit": 1e-4}, (1, 1, 1))],
)
def test_the_y_axis_is_the_tasks_own(tmp_path: Path, entry: dict[str, Any], sign: tuple[int, int, int]):
    root = write(tmp_path, normals={**TASKS["normals"], **entry})
    target, valid = FolderDataset(root, "train").derive(0, "normals")
    assert valid.all()
    np.testing.assert_allclose(target[:, 11, 20], NORMAL * sign, atol=2e-5)


def test_inverse_depth_gives_the_same_normals(tmp_path: Path):
    root = write(tmp_path, depth={"inverse": True})
    for file in (root / "train" / "depth").iterdir():
        np.save(file, (7 / np.load(file)).astype(np.float32))
    target, valid = FolderDataset(root, "train").derive(0, "normals")
    assert valid.all()
    np.testing.assert_allclose(target[:, 11, 20], NORMAL, atol=2e-5)


def test_a_resized_set_resizes_the_labels_that_follow(tmp_path: Path):
    """As its own labels are: normals of a plane stay, boundaries are kept, whatever the size."""
    root = write(tmp_path)
    full, small = FolderDataset(root, "train"), FolderDataset(root, "train", size=(12, 20))
    target, valid = small.derive(0, "normals")
    assert target.shape == (3, 12, 20)
    assert valid.all()
    np.testing.assert_allclose(target[:, 5, 10], NORMAL, atol=2e-5)
    expected = full.formats["edges"].resize(*full.derive(0, "edges"), (12, 20))
    for one, other in zip(small.derive(0, "edges"), expected, strict=True):
        assert torch.equal(one, other)


def test_depth_of_another_camera_size_scales_the_camera(tmp_path: Path):
    """Depth of half the image's size: half the focal length, the axis at the same place of the picture."""
    root = write(tmp_path, normals={**TASKS["normals"], "misfit": 1e-3})
    for file in (root / "train" / "depth").iterdir():
        full = 1 / plane(NORMAL)  # inverse depth is linear, so that the mean of four pixels is that of their middle
        half = full.reshape(12, 2, 20, 2).mean((1, 3))
        np.save(file, (1 / half).astype(np.float32))
    target, valid = FolderDataset(root, "train", size=SIZE).derive(0, "normals")
    assert valid.all()
    np.testing.assert_allclose(target[:, 11, 20], NORMAL, atol=2e-5)


def test_edges_are_where_known_classes_differ_from_right_or_below(tmp_path: Path):
    root = write(tmp_path, 1)
    classes = np.zeros(SIZE, np.uint8)
    classes[2, 3], classes[10, 10], classes[5, 5:7] = 1, 255, (2, 255)
    np.save(root / "train/segmentation/0.npy", classes)
    target, valid = FolderDataset(root, "train").derive(0, "edges")
    assert target[0].nonzero().tolist() == [[1, 3], [2, 2], [2, 3], [4, 5], [5, 4], [5, 5]]
    assert (~valid).nonzero().tolist() == [[5, 6], [10, 10]]
    assert target.dtype == torch.float32


def test_holes_and_steps_of_depth_have_no_normals(tmp_path: Path):
    root = write(tmp_path, 1)
    depth = plane(NORMAL).astype(np.float32)
    depth[:, 20:] *= 2
    depth[4:8, 4:8] = 0
    np.save(root / "train/depth/0.npy", depth)
    target, valid = FolderDataset(root, "train").derive(0, "normals")
    assert not valid[4:8, 4:8].any()
    assert (target[:, ~valid] == 0).all()
    known = target[:, valid].T.numpy()
    assert np.degrees(np.arccos(np.clip(known @ NORMAL, -1, 1))).max() < 1  # none across the step
    assert valid.float().mean() > 0.9


class Watched(FolderDataset):
    """Remembers which labels are opened."""

    opened: list[tuple[int, str]]

    def stored(self, index: int, task: str) -> tuple[np.ndarray, Path]:
        self.opened.append((index, task))
        return super().stored(index, task)


@pytest.mark.parametrize("regime", ["one", "random", "ratio", "semi", "file", "full"])
@pytest.mark.parametrize("tasks", [None, ["normals"], ["normals", "edges"]])
def test_hidden_labels_are_never_opened(tmp_path: Path, regime: str, tasks: list[str] | None):
    dataset = Watched(write(tmp_path, 12, stored=("segmentation", "depth", "normals", "edges")), "train")
    dataset.opened = []
    random = torch.rand(12, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    mask = label_mask(dataset.available, regime, 0, ratio=[1, 2, 1, 1], share=0.5, allowed=random)
    partial = PartialDataset(dataset, mask, tasks=tasks, cache=False)
    columns = {name: place for place, name in enumerate(dataset.tasks)}
    derived = 0
    for index in range(12):
        sample = partial[index]
        expected = set()
        for name in tasks or columns:
            if mask[index, columns[name]]:
                expected.add(name)
            elif name in dataset.follows and mask[index, columns[dataset.follows[name]]]:
                expected.add(name)
                derived += 1
                again = dataset.derive(index, name)
                assert torch.equal(sample.targets[name], again[0])
                assert torch.equal(sample.valid[name], again[1])
        assert set(sample.targets) == set(sample.valid) == expected
        shown = [name for name, there in zip(columns, partial.shown[index].tolist(), strict=True) if there]
        assert set(shown) == expected
    assert all(mask[index, columns[name]] for index, name in dataset.opened)
    assert derived == int(partial.derived.sum())
    assert bool(derived) == (regime not in ("full", "semi"))


def test_a_label_that_may_be_seen_goes_before_one_that_follows(tmp_path: Path):
    dataset = FolderDataset(write(tmp_path, 3, stored=("segmentation", "depth", "normals")), "train")
    sample = PartialDataset(dataset, dataset.available)[0]
    assert sample.targets["normals"][:, 0, 0].tolist() == [1, 0, 0]
    assert "edges" in sample.targets


def test_labels_that_follow_are_computed_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    dataset = FolderDataset(write(tmp_path, 2), "train")
    partial = PartialDataset(dataset, dataset.available)
    first = partial[0]
    monkeypatch.setattr(dataset, "derive", None)
    again = partial[0]
    assert torch.equal(first.targets["normals"], again.targets["normals"])
    assert [*partial.without_labels()[0].targets] == []
    assert [*partial.subset([1]).shown.tolist()] == [[True] * 4]


def test_scores_compare_with_labels_that_follow_only_where_there_are_no_others(tmp_path: Path):
    names = ["segmentation", "depth", "normals", "edges"]
    dataset = FolderDataset(write(tmp_path, 3, stored=("segmentation", "depth", "normals")), "val")
    (tmp_path / "val/normals/1.npy").unlink()
    dataset = FolderDataset(tmp_path, "val")
    scored = scored_dataset(dataset, names)
    assert scored.derived.tolist() == [[False, False, False, True]] * 3
    assert "normals" not in scored[1].targets
    assert [*scored_dataset(dataset, ["edges"])[1].targets] == ["edges"]


def test_cameras_come_from_a_table(tmp_path: Path):
    camera = {"file": "a/views.csv", "name": "id", "split": "part", "focal": ["fx", 25], "center": ["cx", 12.5]}
    root = write(tmp_path, 2, normals={"from": "depth", "camera": {**camera, "size": [*SIZE]}})
    (root / "a").mkdir()
    rows = "part,id,fx,cx\nvalidation,0,1,1\nvalidation,1,1,1\ntraining,0,30,18\ntraining,1,60,18\n"
    (root / "a/views.csv").write_text(rows)
    dataset = FolderDataset(root, "train")
    np.testing.assert_allclose(dataset.derive(0, "normals")[0][:, 5, 5], NORMAL, atol=2e-5)
    doubled = NORMAL * (2, 1, 1)  # twice the focal length: half as wide for the same slope of depth
    np.testing.assert_allclose(dataset.derive(1, "normals")[0][:, 12, 18], doubled / np.linalg.norm(doubled), atol=0.02)


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no camera": ({"from": "depth"}, "need a `camera`, as {focal: 500, size: [480, 640]}, beside `tasks`"),
    "a camera without from": ({"camera": CAMERA}, "`camera` needs `from`, as {from: depth}, or stands beside `tasks`"),
    "a focal length of zero": (
        {"from": "depth", "camera": {**CAMERA, "focal": 0}},
        "positive lengths in pixels, not 0",
    ),
    "a text as focal length": ({"from": "depth", "camera": {**CAMERA, "focal": "f"}}, "`focal` of `camera` should be"),
    "no size": ({"from": "depth", "camera": {"focal": 1}}, "`size` of `camera` should be the height and width"),
    "another aspect": ({"from": "depth", "camera": {**CAMERA, "size": [24, 24]}}, "images of 24x24"),
    "an endless axis": ({"from": "depth", "camera": {**CAMERA, "center": [float("inf"), 0]}}, "`center` should be a"),
    "an unknown key": ({"from": "depth", "camera": {**CAMERA, "fov": 1}}, "unknown key 'fov'"),
    "no mapping": ({"from": "depth", "camera": "views.csv"}, "or with a table {file: views.csv"),
    "itself": ({"from": "normals", "camera": CAMERA}, "another task than normals itself"),
    "a task that is not there": ({"from": "dept", "camera": CAMERA}, "one of the tasks segmentation, depth, normals"),
    "a task of another type": ({"from": "segmentation", "camera": CAMERA}, "normals follow from depth, not from segm"),
    "a radius of zero": ({"from": "depth", "camera": CAMERA, "radius": 0}, "`radius` should be a whole number"),
    "no misfit": ({"from": "depth", "camera": CAMERA, "misfit": 0}, "`misfit` should be a positive share"),
    "a column without file": ({"from": "depth", "camera": {**CAMERA, "name": "id"}}, "columns of a `file`"),
    "a file elsewhere": (
        {"from": "depth", "camera": {**CAMERA, "file": "../views.csv", "name": "id"}},
        "below the data set's folder",
    ),
    "no table": (
        {"from": "depth", "camera": {**CAMERA, "file": "no.csv", "name": "id"}},
        "cannot be read as the table",
    ),
    "no such column": (
        {"from": "depth", "camera": {**CAMERA, "file": "views.csv", "name": "id", "focal": "f"}},
        "no column 'f': there are id, focal",
    ),
    "a view without camera": (
        {"from": "depth", "camera": {**CAMERA, "file": "views.csv", "name": "id", "focal": "focal"}},
        "has no camera of image '2'",
    ),
    "a view with a broken camera": (
        {"from": "depth", "camera": {**CAMERA, "file": "broken.csv", "name": "id", "focal": "focal"}},
        "should be a number, not 'x'",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_wrong_relation_is_one_line(tmp_path: Path, what: str):
    entry, said = BROKEN[what]
    root = write(tmp_path, 3, normals=entry)
    (root / "views.csv").write_text("id,focal\n0,30\n1,30\n")
    (root / "broken.csv").write_text("id,focal\n0,30\n1,30\n2,x\n")
    with pytest.raises(UserError) as error:
        FolderDataset(root, "train")
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert str(root) in str(error.value)


@pytest.mark.parametrize("source", ["human_parts", "saliency", "depth"])
def test_edges_follow_from_the_boundaries_of_a_segmentation_alone(tmp_path: Path, source: str):
    kinds = {"human_parts": {}, "saliency": {}, "edges": {"from": source}}
    with pytest.raises(UserError, match=rf"edges follow from segmentation, not from {source} \({source}\)"):
        FolderDataset(write(tmp_path, 1, **kinds), "train")


@pytest.mark.parametrize("task", ["segmentation", "depth", "saliency"])
def test_other_tasks_follow_from_none(tmp_path: Path, task: str):
    entry = {**TASKS.get(task, {}), "from": "edges"}
    with pytest.raises(UserError, match=f"task '{task}' has the unknown key 'from'"):
        FolderDataset(write(tmp_path, 1, **{task: entry}), "train")


def test_edges_need_no_camera(tmp_path: Path):
    with pytest.raises(UserError, match="unknown key 'camera'"):
        FolderDataset(write(tmp_path, 1, edges={"from": "segmentation", "camera": CAMERA}), "train")


def test_an_image_of_another_shape_is_named_with_its_camera(tmp_path: Path):
    root = write(tmp_path, 2)
    Image.new("RGB", (30, 30)).save(root / "train/image/1.png")
    np.save(root / "train/depth/1.npy", np.ones((30, 30), np.float32))
    with pytest.raises(UserError, match="normals of image '1': the camera is that of images of 24x40"):
        FolderDataset(root, "train").derive(1, "normals")


def test_a_relation_needs_both_tasks_to_be_read(tmp_path: Path):
    dataset = FolderDataset(write(tmp_path, 2), "train", tasks=["segmentation", "normals"])
    assert dataset.follows == {"normals": "depth", "edges": "segmentation"}
    assert dataset.derived_from is None
    assert not PartialDataset(dataset, dataset.available).derived.any()
    with pytest.raises(KeyError):
        dataset.derive(0, "normals")


@pytest.mark.parametrize("to", ["packed", "shards", "folder"])
@pytest.mark.parametrize("table", [False, True])
def test_a_converted_set_derives_the_same(tmp_path: Path, to: str, table: bool):
    camera = {"file": "v.csv", "name": "id", "focal": ["fx", 25], "center": [*CENTER], "size": [*SIZE]}
    entry = {"from": "depth", "camera": camera if table else CAMERA, "radius": 1}
    root = write(tmp_path / "source", 11, normals=entry)
    rows = [f"{number},{30 + number / 3}" for number in range(11)]
    (root / "v.csv").write_text("\n".join(["id,fx", *rows]))
    convert_dataset(root, tmp_path / "out", to=to, progress=False)
    source, out = FolderDataset(root, "val"), open_layout(to, tmp_path / "out", "val")
    assert out.follows == source.follows
    for index in range(len(out)):
        same = source.keys.index(str(int(out.keys[index])))
        for task in ("normals", "edges"):
            for one, other in zip(out.derive(index, task), source.derive(same, task), strict=True):
                assert torch.equal(one, other)


def test_merged_sets_derive_as_their_sources_do(tmp_path: Path):
    write(tmp_path / "a", 2)
    other = {name: {key: x for key, x in one.items() if key not in ("from", "camera")} for name, one in TASKS.items()}
    write(tmp_path / "b", 2, **other)
    (tmp_path / "m.yaml").write_text("size: [24, 40]\nsources: {b: {root: b}, a: {root: a}}\n")
    merged = MergedDataset(tmp_path / "m.yaml", "train")
    partial = PartialDataset(merged, merged.available)
    assert partial.derived.tolist() == [[False] * 4] * 2 + [[False, False, True, True]] * 2
    np.testing.assert_allclose(partial[2].targets["normals"][:, 5, 5], NORMAL, atol=2e-5)
    assert "normals" not in partial[1].targets


def test_check_counts_labels_that_follow_apart(tmp_path: Path):
    root = write(tmp_path, 4, stored=("segmentation", "depth", "normals"))
    for number in range(3):
        (root / f"train/normals/{number}.npy").unlink()
    report = check_dataset(root, progress=False)
    task = report.splits["train"].tasks["normals"]
    assert (task.labels, task.derived) == (1, 3)
    notes = "\n".join(report.notes)
    assert "train/normals: labels of 3 images follow from their depth (100.0 % of pixels known)" in notes
    angle = np.degrees(np.arccos(NORMAL[0]))
    assert "val/normals: 4 images have normals of their own" in notes
    assert f"differs by a median of {angle:.1f}" in notes
    assert "is `camera` that of these images" in notes
    assert report.ok


@needs_shared
def test_normals_that_follow_on_rendered_rooms_agree_with_the_rendered_ones():
    dataset = FolderDataset(SHARED / "data/indoor", "val", description=BENCHMARKS / "indoor_derived.yaml")
    on_planes, medians = [], []
    for index in range(0, 184, 40):
        (derived, known), (given, valid) = dataset.derive(index, "normals"), dataset.label(index, "normals", None)
        angle = torch.rad2deg((derived * given).sum(0).double().clamp(-1, 1).acos())
        flat = known & valid
        # planes: all normals within 7 x 7 pixels are those of the middle
        around = torch.nn.functional.unfold(given[None], 7, padding=3).view(3, 49, *SIZED)
        flat &= ((around * given[:, None]).sum(0) > 0.9999).all(0)
        on_planes.append(angle[flat])
        medians.append(angle[known & valid].median())
    assert torch.cat(on_planes).numel() > 20000
    assert max(medians) < 2
    assert torch.cat(on_planes).median() < 0.3
    assert (torch.cat(on_planes) < 1).double().mean() > 0.9


@needs_shared
@pytest.mark.parametrize("size", [None, (96, 128)])
def test_edges_that_follow_on_street_photographs_equal_the_given_ones(size: tuple[int, int] | None):
    dataset = FolderDataset(SHARED / "data/camvid", "val", description=BENCHMARKS / "camvid_derived.yaml", size=size)
    for index in range(0, 101, 10):
        for one, other in zip(dataset.derive(index, "edges"), dataset.label(index, "edges", None), strict=True):
            assert torch.equal(one, other)


SIZED = (144, 192)
