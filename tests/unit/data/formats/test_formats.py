"""One label file at a time: what its numbers become, and which numbers are refused."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtpsl.data.formats import (
    FORMATS,
    DepthFormat,
    EdgesFormat,
    HumanPartsFormat,
    NormalsFormat,
    SaliencyFormat,
    SegmentationFormat,
)
from mtpsl.data.formats.files import any_covered, nearest
from mtpsl.data.formats.stored import read_array
from mtpsl.data.layouts.description import read_description
from mtpsl.errors import UserError
from mtpsl.tasks import TASKS, HumanParts

SEGMENTATION = SegmentationFormat(classes=3, ignore=[255, 9])
ENCODED = NormalsFormat(offset=128, divisor=127)


def png(path: Path, array: np.ndarray | list) -> Path:
    Image.fromarray(np.asarray(array)).save(path)
    return path


def npy(path: Path, array: np.ndarray | list) -> Path:
    np.save(path, np.asarray(array))
    return path


def test_every_task_has_a_file_format_of_its_name():
    assert FORMATS.keys() == TASKS.keys()
    assert all(name == label_format.kind for name, label_format in FORMATS.items())


def test_class_indices_are_kept_and_ignored_pixels_are_not_valid(tmp_path):
    target, valid = SEGMENTATION.read(png(tmp_path / "a.png", np.array([[0, 2, 255, 9]], np.uint8)), (1, 4))
    assert target.dtype == torch.long
    assert target.tolist() == [[0, 2, 0, 0]]
    assert valid.tolist() == [[True, True, False, False]]


def test_palette_pngs_hold_their_indices(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    picture.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    picture.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as stored:
        assert stored.mode == "P"
    assert SEGMENTATION.read(tmp_path / "a.png", (2, 2))[0].tolist() == [[0, 1], [2, 1]]
    with pytest.raises(UserError, match="plain PNG"):
        DepthFormat().read(tmp_path / "a.png", (2, 2))


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, np.float32, np.float64])
def test_classes_may_be_stored_as_any_type_of_number_with_minus_one_ignored(tmp_path, dtype):
    stored = np.array([[0, 1], [2, 2]], dtype)
    if np.dtype(dtype).kind != "u":
        stored[1, 1] = -1
    target, valid = SegmentationFormat(classes=3, ignore=-1).read(npy(tmp_path / "a.npy", stored[:, :, None]), (2, 2))
    assert target[0].tolist() == [0, 1]
    assert valid[1].tolist() == [True, np.dtype(dtype).kind == "u"]


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        ([[0, 3]], "class index 3 at 1 pixel"),
        ([[-1, -1]], "class index -1 at 2"),
        ([[0.5, 1]], "0.5"),
        ([[math.nan]], "nan"),
    ],
)
def test_a_class_that_does_not_exist_is_refused_with_file_and_value(tmp_path, stored, found):
    path = npy(tmp_path / "a.npy", stored)
    with pytest.raises(UserError, match=found) as caught:
        SEGMENTATION.read(path, None)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_depth_is_the_stored_number_times_the_scale(tmp_path, suffix):
    stored = np.array([[0, 1500], [6700, 65535]], np.uint16)
    path = (png if suffix == ".png" else npy)(tmp_path / f"a{suffix}", stored)
    target, valid = DepthFormat(scale=0.001, missing=0).read(path, (2, 2))
    assert target.dtype == torch.float32
    assert target.shape == (1, 2, 2)
    assert torch.equal(target[0], torch.tensor([[0, 1.5], [6.7, 65.535]]))
    assert valid.tolist() == [[False, True], [True, True]]


def test_depth_of_eight_bits_and_of_nan_sentinels(tmp_path):
    target, valid = DepthFormat(scale=0.5, missing=[0, 255]).read(
        png(tmp_path / "a.png", np.array([[0, 7, 255]], np.uint8)), (1, 3)
    )
    assert (target.tolist(), valid.tolist()) == ([[[0, 3.5, 0]]], [[False, True, False]])
    path = npy(tmp_path / "b.npy", np.array([[math.nan, 2.5, -1]], np.float16))
    target, valid = DepthFormat(missing=["nan", -1.0]).read(path, (1, 3))
    assert (target.tolist(), valid.tolist()) == ([[[0, 2.5, 0]]], [[False, True, False]])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.5, 1e300])
def test_depth_that_cannot_be_is_refused(tmp_path, value):
    with pytest.raises(UserError, match=r"a\.npy: depth .* at 1 pixel.*missing"):
        DepthFormat().read(npy(tmp_path / "a.npy", [[1.0, value]]), None)


def test_normals_survive_eight_bits_within_half_a_degree_and_have_length_one(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(20, 30, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    stored = (np.round(127 * vectors) + 128).astype(np.uint8)
    stored[0, 0] = 0
    stored[0, 1] = 128
    target, valid = ENCODED.read(png(tmp_path / "a.png", stored), (20, 30))
    truth = torch.from_numpy(vectors).permute(2, 0, 1).float()
    angle = torch.rad2deg((target * truth).sum(0).clamp(-1, 1).acos())
    assert valid.sum() == 598
    assert not valid[0, :2].any()
    assert angle[valid].max() < 0.5
    assert (target.norm(dim=0)[valid] - 1).abs().max() < 1e-6
    assert not target[:, ~valid].any()


def test_normals_with_the_usual_encoding_need_no_offset(tmp_path):
    target, valid = NormalsFormat().read(
        png(tmp_path / "a.png", np.array([[[255, 127, 128], [127, 128, 127]]], np.uint8)), None
    )
    assert target[0, 0, 0] > 0.999
    assert valid.tolist() == [[True, False]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_normals_in_npy_are_vectors(tmp_path, dtype):
    stored = np.array([[[0, 0.6, -0.8], [0, 0, 0], [0, 0, 1.02]]], dtype)
    target, valid = ENCODED.read(npy(tmp_path / "a.npy", stored), (1, 3))
    torch.testing.assert_close(target[:, 0, 0], torch.tensor([0, 0.6, -0.8]), atol=1e-3, rtol=0)
    assert target[2, 0, 2] == 1
    assert valid.tolist() == [[True, False, True]]


@pytest.mark.parametrize(
    "vector", [[0, 0, 0.9], [1, 0.5, 0], [math.nan, 0, 1], [math.inf, 0, 0], [1e30, 0, 0], [0, 0, 1e-9]]
)
def test_normals_far_from_unit_length_are_refused(tmp_path, vector):
    with pytest.raises(UserError, match=r"length .* at 1 pixel"):
        ENCODED.read(npy(tmp_path / "a.npy", np.array([[vector, [0, 0, 1.0]]])), None)


def test_normals_with_a_wrong_offset_are_refused(tmp_path):
    stored = np.full((4, 4, 3), (128, 128, 255), np.uint8)
    ENCODED.read(png(tmp_path / "a.png", stored), None)
    with pytest.raises(UserError, match="offset"):
        NormalsFormat(offset=100, divisor=127).read(tmp_path / "a.png", None)


def test_what_is_above_the_threshold_is_salient(tmp_path):
    gray = png(tmp_path / "a.png", np.array([[0, 127, 128, 255]], np.uint8))
    target, valid = SaliencyFormat().read(gray, (1, 4))
    assert target.dtype == torch.float32
    assert target.tolist() == [[[0, 0, 1, 1]]]
    assert valid.all()
    target, valid = SaliencyFormat(threshold=0, ignore=[255]).read(gray, (1, 4))
    assert target.tolist() == [[[0, 1, 1, 0]]]
    assert valid.tolist() == [[True, True, True, False]]
    shares = npy(tmp_path / "b.npy", np.array([[0.2, 0.5, 0.7]], np.float32))
    assert SaliencyFormat(threshold=0.5).read(shares, (1, 3))[0].tolist() == [[[0, 0, 1]]]
    marks = npy(tmp_path / "c.npy", np.array([[False, True]]))
    assert SaliencyFormat(threshold=0.5).read(marks, (1, 2))[0].tolist() == [[[0, 1]]]


def test_saliency_that_is_no_number_or_has_colors_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"a\.npy: saliency nan at 1 pixel should be finite"):
        SaliencyFormat().read(npy(tmp_path / "a.npy", np.array([[np.nan, 0.5]])), (1, 2))
    with pytest.raises(UserError, match="should have 1 channel"):
        SaliencyFormat().read(png(tmp_path / "a.png", np.arange(6, dtype=np.uint8).reshape(1, 2, 3)), (1, 2))


def test_human_parts_are_seven_classes_unless_told_otherwise(tmp_path):
    parts = png(tmp_path / "a.png", np.array([[0, 6, 255]], np.uint8))
    target, valid = HumanPartsFormat(ignore=255).read(parts, (1, 3))
    assert (target.tolist(), valid.tolist()) == ([[0, 6, 0]], [[True, True, False]])
    with pytest.raises(UserError, match="class index 255 at 1 pixel, but classes go from 0 to 6"):
        HumanPartsFormat().read(parts, (1, 3))
    task = HumanPartsFormat(absent="zero").task("parts")
    assert isinstance(task, HumanParts)
    assert (task.name, task.class_names[6], task.absent) == ("parts", "lower leg", "zero")
    assert HumanPartsFormat(classes=["none", "body"]).task("parts").out_channels == 2


def test_formats_hand_their_options_to_the_task():
    options = {"unit": "1/m", "inverse": True, "loss": "l1", "gradient": 0.0}
    assert DepthFormat(inverse=True).task("near").options() == options
    assert DepthFormat(inverse=True, unit="").task("near").options() == options | {"unit": ""}
    assert DepthFormat().task("depth").options() == options | {"unit": "m", "inverse": False}
    assert NormalsFormat(loss="l1").task("normals").options() == {"loss": "l1", "y_axis": "up"}
    assert NormalsFormat(y_axis="down").task("normals").options() == {"loss": "cosine", "y_axis": "down"}
    assert SegmentationFormat(3, absent="zero").task("segmentation").options()["absent"] == "zero"


def test_edges_are_zero_one_or_ignored(tmp_path):
    edges = EdgesFormat(ignore=255)
    target, valid = edges.read(png(tmp_path / "a.png", np.array([[0, 1, 255]], np.uint8)), (1, 3))
    assert (target.tolist(), valid.tolist()) == ([[[0, 1, 0]]], [[True, True, False]])
    assert target.dtype == torch.float32
    assert edges.read(png(tmp_path / "b.png", np.array([[False, True]])), (1, 2))[0].tolist() == [[[0, 1]]]
    assert edges.read(npy(tmp_path / "b.npy", np.array([[False, True]])), (1, 2))[0].tolist() == [[[0, 1]]]
    with pytest.raises(UserError, match="value 255 at 1 pixel"):
        EdgesFormat().read(tmp_path / "a.png", None)


def test_a_thin_line_survives_shrinking_and_unknown_pixels_do_not_become_background():
    edge, valid = torch.zeros(1, 9, 12), torch.ones(9, 12, dtype=torch.bool)
    edge[0, :, 1] = 1
    valid[4, 8] = valid[0, 0] = False
    shrunk, counted = EdgesFormat().resize(edge, valid, (3, 4))
    assert shrunk[0].tolist() == [[1, 0, 0, 0]] * 3
    assert counted.tolist() == [[True] * 4, [True, True, False, True], [True] * 4]
    assert EdgesFormat().resize(edge, valid, (18, 24))[0].sum() == 4 * edge.sum()


def test_nearest_picks_the_pixel_under_the_center():
    x = torch.arange(12).view(3, 4)
    assert nearest(x, (1, 2)).tolist() == [[5, 7]]
    assert torch.equal(nearest(nearest(x, (6, 8)), (3, 4)), x)
    for size in [(2, 3), (7, 5), (1, 1), (3, 4)]:
        oracle = torch.nn.functional.interpolate(x[None, None].float(), size, mode="nearest-exact")[0, 0].long()
        assert torch.equal(nearest(x, size), oracle)
    assert any_covered(x[None] == 11, (2, 2)).tolist() == [[[False, False], [False, True]]]


def test_labels_are_resized_without_new_values(tmp_path):
    stored = np.random.default_rng(0).integers(0, 3, (12, 16)).astype(np.uint8)
    stored[:, 8:] = 255
    target, valid = SEGMENTATION.read(png(tmp_path / "a.png", stored), (12, 16), (5, 6))
    assert target.shape == valid.shape == (5, 6)
    assert valid.tolist() == [[True] * 3 + [False] * 3] * 5


def test_a_label_of_another_size_or_with_other_channels_is_refused(tmp_path):
    path = png(tmp_path / "a.png", np.arange(72, dtype=np.uint8).reshape(4, 6, 3))
    with pytest.raises(UserError, match=r"size 6x4 \(height x width\), not 4x6x3"):
        SEGMENTATION.read(path, (6, 4))
    with pytest.raises(UserError, match="a mask in colors"):
        SEGMENTATION.read(path, (4, 6))
    for label_format in (DepthFormat(), EdgesFormat(), SaliencyFormat()):
        with pytest.raises(UserError, match="1 channel"):
            label_format.read(path, (4, 6))
    with pytest.raises(UserError, match="3 channels, not 1"):
        ENCODED.read(png(tmp_path / "b.png", np.zeros((4, 6), np.uint8)), (4, 6))
    with pytest.raises(UserError, match="3 channels, not 4"):
        ENCODED.read(png(tmp_path / "c.png", np.zeros((4, 6, 4), np.uint8)), (4, 6))
    with pytest.raises(UserError, match="not 5"):
        ENCODED.read(npy(tmp_path / "d.npy", np.zeros(5)), (4, 6))


class Bomb:
    def __reduce__(self):
        return (print, ("executed",))


def test_broken_files_are_named_and_nothing_in_them_is_executed(tmp_path, capsys):
    whole = png(
        tmp_path / "whole.png", np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8)
    ).read_bytes()
    array = npy(tmp_path / "whole.npy", np.ones((4, 4))).read_bytes()
    contents = {
        "cut.png": whole[: len(whole) // 2],
        "empty.png": b"",
        "text.png": b"not a picture",
        "flipped.png": whole[:60] + bytes(40) + whole[100:],
        "cut.npy": array[:-8],
        "header.npy": array[:20],
        "empty.npy": b"",
        "pickle.npy": pickle.dumps(Bomb()),
        "huge.npy": array.replace(b"(4, 4), }      ", b"(99999, 99999),}"[:15]),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    np.save(tmp_path / "object.npy", np.array([[Bomb()]], dtype=object), allow_pickle=True)
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    with (tmp_path / "archive.npy").open("wb") as file:
        np.savez(file, a=np.ones((2, 2)))
    for name in [*contents, "object.npy", "text.npy", "archive.npy"]:
        with pytest.raises(UserError, match="cannot be read") as caught:
            read_array(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert "executed" not in capsys.readouterr().out


GOOD = "name: x\ntasks: {segmentation: {classes: [a, b], ignore: 255}}"


def described(tmp_path: Path, text: str):
    (tmp_path / "dataset.yaml").write_text(text)
    return read_description(tmp_path / "dataset.yaml")


def test_a_description_keeps_its_order_and_builds_tasks(tmp_path):
    text = """
    name: mine
    tasks:
      near: {type: depth, scale: 2, missing: [.nan, 0], unit: km}
      segmentation: {classes: [a, b], ignore: [0, 255], colors: [[0, 0, 0], [255, 0, 0]]}
      edges:
    """
    read = described(tmp_path, text)
    assert [*read.formats] == ["near", "segmentation", "edges"]
    assert [*read.select(["edges", "near"])] == ["near", "edges"]
    assert read.formats["near"].task("near").score_types["abs_err"][0] == "km"
    segmentation = read.formats["segmentation"].task("segmentation")
    assert segmentation.class_names == ["a", "b"]
    assert segmentation.colors[1].tolist() == [1, 0, 0]
    with pytest.raises(UserError, match=r"unknown task 'normals'.*near, segmentation, edges"):
        read.select(["normals"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "keys name, tasks"),
        ("[1, 2]", "keys name, tasks"),
        ("name: x\ntasks: {edges: {}}\nclass: 3", "unknown key 'class': known are name, tasks"),
        ("tasks: {edges: {}}", "`name`"),
        ("name: x", "at least one of segmentation, depth"),
        ("name: x\ntasks: {color: {}}", "task 'color' should be one of segmentation, depth"),
        ("name: x\ntasks: {color: {type: hue}}", "`type` 'hue' of task 'color'"),
        ("name: x\ntasks: {../up: {type: depth}}", "a folder's name"),
        ("name: x\ntasks: {image: {type: depth}}", "other than image"),
        ("name: x\ntasks: {near: {type: [depth]}}", "`type` ['depth'] of task 'near' should be one of"),
        ("name: 2024-02-30\ntasks: {depth: {}}", "is not YAML: day is out of range"),
        ("name: x\ntasks: {normals: {y_axis: left}}", "`y_axis` should be up or down, not left"),
        ("name: x\ntasks: {edges: 255}", "a mapping"),
        ("name: x\ntasks: {edges: {ignored: 255}}", "unknown key 'ignored': known are type, ignore"),
        ("name: x\ntasks: {edges: {ignore: 1}}", "0 or 1"),
        ("name: x\ntasks: {segmentation: {ignore: 255}}", "needs `classes`"),
        ("name: x\ntasks: {segmentation: {classes: 1}}", "at least 2"),
        ("name: x\ntasks: {segmentation: {classes: [a, a]}}", "twice"),
        ("name: x\ntasks: {segmentation: {classes: [yes, no]}}", "quote yes"),
        ("name: x\ntasks: {segmentation: {classes: 2, ignore: none}}", "`ignore`"),
        ("name: x\ntasks: {segmentation: {classes: 2, colors: [[0, 0, 300], [0, 0, 0]]}}", "`colors`"),
        ("name: x\ntasks: {depth: {scale: 0}}", "`scale`"),
        ("name: x\ntasks: {depth: {scale: .nan}}", "`scale`"),
        ("name: x\ntasks: {depth: {missing: [zero]}}", "`missing`"),
        ("name: x\ntasks: {normals: {divisor: -1}}", "`divisor`"),
        ("name: x\ntasks: {normals: {loss: l2}}", "`loss` should be cosine or l1, not l2"),
        ("name: x\ntasks: {depth: {inverse: 1}}", "`inverse` should be true or false, not 1"),
        ("name: x\ntasks: {depth: {unit: 3}}", "`unit`"),
        ("name: x\ntasks: {saliency: {threshold: high}}", "`threshold` should be a number, not high"),
        ("name: x\ntasks: {saliency: {threshold: .inf}}", "`threshold`"),
        ("name: x\ntasks: {saliency: {ignore: [a]}}", "`ignore`"),
        ("name: x\ntasks: {segmentation: {classes: 2, absent: nan}}", "`absent` should be skip or zero, not nan"),
        ("name: x\ntasks: {human_parts: {classes: 1}}", "at least 2"),
        ("name: [", "is not YAML"),
        ("name: !!python/object/apply:os.system [ls]\ntasks: {}", "is not YAML"),
    ],
)
def test_a_wrong_description_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        described(tmp_path, text)
    assert message in str(caught.value)
    assert str(tmp_path / "dataset.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_description_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such description"):
        read_description(tmp_path / "dataset.yaml")
    assert described(tmp_path, GOOD).name == "x"


def test_how_edges_are_weighed_and_scored_comes_from_the_description():
    task = EdgesFormat(positive_weight=0.9, tolerance=0.02, nms=True).task("edges")
    assert task.options() | {"positive_weight": 0.9, "tolerance": 0.02, "nms": True} == task.options()
    for wrong in ({"positive_weight": 1.5}, {"tolerance": 0}, {"tolerance": 2.0}, {"tolerance": "wide"}, {"nms": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            EdgesFormat(**wrong)


def test_a_class_without_a_color_has_one_in_pictures_and_none_in_files(tmp_path):
    text = "name: x\ntasks: {segmentation: {classes: [a, b, c], colors: [[0, 0, 0], null, [31, 119, 180]]}}"
    segmentation = described(tmp_path, text).formats["segmentation"]
    colors = (segmentation.task("segmentation").colors * 255).round().int().tolist()
    assert colors == [[0, 0, 0], [255, 127, 14], [31, 119, 180]]
    stored = np.array([[[0, 0, 0], [31, 119, 180]]], np.uint8)
    assert segmentation.read(png(tmp_path / "a.png", stored), (1, 2))[0].tolist() == [[0, 2]]
    stored[0, 0] = 255, 127, 14
    with pytest.raises(UserError, match="colors that are no class"):
        segmentation.read(png(tmp_path / "b.png", stored), (1, 2))


def test_a_parser_that_stumbles_over_another_thread_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, load, calls = npy(tmp_path / "a.npy", [[1.5, 2.5]]), np.load, []

    def stumbling(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        if len(calls) == 1:
            raise SystemError("AST constructor recursion depth mismatch (before=90, after=87)")
        return load(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(np, "load", stumbling)
    assert read_array(path).tolist() == [[1.5, 2.5]]
    assert len(calls) == 2
