"""Which stored number or color is which class: `values`, `colors`, `classes` as a mapping, and what errors advise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from folder_sets import assert_same_sample
from label_files import GRAY, PALETTE, RGB, write_png
from mtpsl.data import DATASETS, FolderDataset, convert_dataset
from mtpsl.data.formats import EdgesFormat, SegmentationFormat
from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.layouts.description import read_description
from mtpsl.errors import UserError

COLORS = [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
COLORED = SegmentationFormat(["wall", "car", "dog"], colors=COLORS, ignore=[255, [224, 224, 192]])
CLASSES = np.array([[0, 1, 2, 2], [1, 0, 0, 1]])


def save(path: Path, numbers: object, kind: int = GRAY, bits: int = 8, table: object = None) -> Path:
    return write_png(path, np.asarray(numbers), bits, kind, None if table is None else np.asarray(table))


def complaint(label_format: LabelFormat, path: Path) -> str:
    with pytest.raises(UserError) as caught:
        label_format.read(path, None)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def described(tmp_path: Path, entry: str) -> LabelFormat:
    (tmp_path / "dataset.yaml").write_text(f"name: x\ntasks: {{{entry}}}")
    return next(iter(read_description(tmp_path / "dataset.yaml").formats.values()))


def test_colors_are_read_as_classes_and_ignored_ones_as_unlabelled(tmp_path):
    colored = np.array(COLORS)[CLASSES]
    colored[0, 0] = 224, 224, 192
    target, valid = COLORED.read(save(tmp_path / "a.png", colored, RGB), (2, 4))
    assert target.tolist() == CLASSES.tolist()
    assert valid.tolist() == [[False, True, True, True], [True] * 4]
    np.save(tmp_path / "a.npy", colored)
    assert COLORED.read(tmp_path / "a.npy", (2, 4))[0].tolist() == CLASSES.tolist()


def test_unknown_colors_are_refused_with_the_pixels_of_each(tmp_path):
    colored = np.array(COLORS)[CLASSES]
    colored[0, :3], colored[1, 3] = (1, 2, 3), (128, 0, 1)
    text = complaint(COLORED, save(tmp_path / "a.png", colored, RGB))
    assert "[1, 2, 3] at 3 pixels, [128, 0, 1] at 1 pixel: add them to `colors` or `ignore`" in text


@pytest.mark.parametrize("colors", [None, [[0, 0, 0], [9, 9, 9], [9, 9, 9]]])
def test_a_mask_in_colors_asks_for_a_color_of_each_class(tmp_path, colors):
    path = save(tmp_path / "a.png", np.array(COLORS)[CLASSES], RGB)
    text = complaint(SegmentationFormat(3, colors=colors), path)
    assert "name another color for each class, as colors: [[0, 0, 0], [128, 0, 0]], in a dataset.yaml" in text
    assert "[128, 0, 0] at 3 pixels" in text
    assert "gray" not in text


def test_gray_colors_are_colors_where_they_are_named(tmp_path):
    gray = SegmentationFormat(2, colors=[[255, 255, 255], [0, 0, 0]])
    path = save(tmp_path / "a.png", np.dstack([255 * (CLASSES > 0)] * 3), RGB)
    assert gray.read(path, None)[0].tolist() == (CLASSES == 0).tolist()


def test_a_color_table_that_was_reordered_is_noticed(tmp_path):
    same = save(tmp_path / "a.png", CLASSES, PALETTE, table=COLORS)
    assert COLORED.read(same, None)[0].tolist() == CLASSES.tolist()
    other = save(tmp_path / "b.png", CLASSES, PALETTE, table=[COLORS[2], COLORS[0], COLORS[1]])
    assert "place 0 of its color table stands for another class than the color there, [0, 128, 0]" in complaint(
        COLORED, other
    )
    beyond = save(tmp_path / "c.png", CLASSES + 9, PALETTE, table=[[7, 7, 7]] * 9 + COLORS[::-1])
    assert COLORED.read(beyond, None)[0].tolist() == (2 - CLASSES).tolist()


def test_gray_levels_in_a_color_table_count_where_its_places_mean_nothing(tmp_path):
    path = save(tmp_path / "a.png", CLASSES.clip(max=1), PALETTE, table=[[255] * 3, [0] * 3])
    for label_format in (SegmentationFormat(2, values=[0, 255]), EdgesFormat(values=[0, 255])):
        assert label_format.read(path, None)[0].squeeze(0).tolist() == (CLASSES == 0).tolist()
    swapped = save(tmp_path / "b.png", CLASSES, PALETTE, table=[[1] * 3, [0] * 3, [2] * 3])
    assert "another class than the color there, [1, 1, 1]" in complaint(SegmentationFormat(3), swapped)


@pytest.mark.parametrize("values", [[0, 255], [[0, 7], [255]]])
def test_values_say_which_number_is_which_class(tmp_path, values):
    path = save(tmp_path / "a.png", [[0, 255, 255, 9]])
    for label_format in (SegmentationFormat(2, ignore=9, values=values), EdgesFormat(ignore=9, values=values)):
        target, valid = label_format.read(path, None)
        assert target.flatten().tolist() == [0, 1, 1, 0]
        assert valid.tolist() == [[True, True, True, False]]
        # an optimizer stores 0 and 255 in one bit
        bit = save(tmp_path / "b.png", [[0, 1]], bits=1)
        assert label_format.read(bit, None)[0].flatten().tolist() == [0, 1]
        assert "1 at 1 pixel" in complaint(label_format, save(tmp_path / "c.png", [[0, 1]]))


@pytest.mark.parametrize(
    "classes", ["{0: road, 1: car}", "{car: 1, road: 0}", "[road, car]", "{1: car, 0: road}", "{road: 0, car: 1}"]
)
def test_classes_may_be_a_mapping_either_way(tmp_path, classes):
    label_format = described(tmp_path, f"segmentation: {{classes: {classes}}}")
    assert label_format.task("segmentation").class_names == ["road", "car"]
    assert label_format.read(save(tmp_path / "a.png", [[0, 1]]), None)[0].tolist() == [[0, 1]]
    assert "classes go from 0 to 1" in complaint(label_format, save(tmp_path / "b.png", [[0, 1, 255]]))


@pytest.mark.parametrize("classes", ["{255: car, 7: road}", "{car: 255, road: 7}"])
def test_a_mapping_of_classes_says_the_stored_numbers(tmp_path, classes):
    label_format = described(tmp_path, f"road: {{type: segmentation, classes: {classes}, ignore: 0}}")
    target, valid = label_format.read(save(tmp_path / "a.png", [[7, 255, 0]]), None)
    assert (target.tolist(), valid.tolist()) == ([[0, 1, 0]], [[True, True, False]])
    assert "`values` is [7, 255]" in complaint(label_format, save(tmp_path / "b.png", [[0, 1]]))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("segmentation: {classes: {road: 0}}", "`classes` should be at least 2, not 1"),
        ("segmentation: {classes: {road: 0, car: 0}}", "should not give two names one number"),
        ("segmentation: {classes: {0: road, car: 1.5}}", "`classes` should give one number to each name"),
        ("segmentation: {classes: {yes: 0, no: 1}}", "quote yes, no, on"),
        ("segmentation: {classes: {0: a, 1: b}, values: [0, 1]}", "leave out `values`"),
        ("segmentation: {classes: 2, values: [0]}", "`values` should be 2 stored numbers"),
        ("segmentation: {classes: 2, values: 255}", "`values` should be 2 stored numbers"),
        ("segmentation: {classes: 2, values: [0, 0]}", "not 0 twice"),
        ("segmentation: {classes: 2, values: [0, a]}", "`values` should be a whole number"),
        ("segmentation: {classes: 2, values: [0, 255], ignore: 255}", "255 should be in `values` or in `ignore`"),
        ("segmentation: {classes: 2, ignore: [[0, 0]]}", "`ignore` should be a whole number"),
        ("edges: {values: [0, 255, 1]}", "`values` should be 2 stored numbers"),
        ("edges: {values: [0, 255], ignore: 255}", "`ignore` should not contain 0 or 255"),
    ],
)
def test_a_wrong_description_of_numbers_is_refused(tmp_path, entry, message):
    with pytest.raises(UserError) as caught:
        described(tmp_path, entry)
    assert message in str(caught.value)


def test_every_wrong_class_is_named_with_its_pixels(tmp_path):
    numbers = np.repeat([0, 7, 15, 9], [10, 3, 20, 3])[None]
    text = complaint(SegmentationFormat(3), save(tmp_path / "a.png", numbers))
    assert "class index 15 at 20 pixels, 7 at 3 pixels, 9 at 3 pixels, but classes go from 0 to 2" in text
    many = complaint(SegmentationFormat(2), save(tmp_path / "b.png", np.arange(12)[None]))
    assert "and 5 others at 5 pixels" in many


@pytest.mark.parametrize(
    ("label_format", "numbers", "advice"),
    [
        (SegmentationFormat(2), [0, 255], "`values: [0, 255]`"),
        (SegmentationFormat(2), [1, 2], "`values: [1, 2]`"),
        (SegmentationFormat(["a", "b", "c"]), [0, 1, 255], "(`values`) and which means unlabelled (`ignore`)"),
        (EdgesFormat(), [0, 255], "255 looks like a boundary: write `values: [0, 255]`"),
        (EdgesFormat(), [0, 1, 255], "(`ignore`)"),
        (EdgesFormat(), [0, 1, 7, 90, 255], "decide above which value a pixel is a boundary"),
    ],
)
def test_errors_advise_what_leads_to_labels_to_learn_from(tmp_path, label_format, numbers, advice):
    path = save(tmp_path / "a.png", [numbers])
    text = complaint(label_format, path)
    assert advice in text
    if "write `values" in text:
        values = json.loads(text.split("`values: ")[1].split("`")[0])
        mended = SegmentationFormat(2, values=values) if "class" in text else EdgesFormat(values=values)
        assert mended.read(path, None)[0].unique().tolist() == [0, 1]
        assert "`ignore:" not in text


@pytest.mark.parametrize("number", ["1e-3", "1E-3", "1.0e-3", "+1e-03", ".1e-2", "0.001"])
def test_numbers_may_have_an_exponent_without_a_point(tmp_path, number):
    depth = described(tmp_path, f"depth: {{scale: {number}, missing: [1e3, 0]}}")
    target, valid = depth.read(save(tmp_path / "a.png", [[0, 1000, 2000]], bits=16), None)
    assert target[0].tolist() == [[0, 0, 2]]
    assert valid.tolist() == [[False, False, True]]


@pytest.mark.parametrize("entry", ["depth: {scale: 1/1000}", "depth: {scale: '0.001'}", "normals: {offset: 1e}"])
def test_a_text_is_not_taken_for_a_number(tmp_path, entry):
    with pytest.raises(UserError, match="should be a positive number, not '"):
        described(tmp_path, entry)


@pytest.mark.parametrize("form", ["folder", "packed"])
def test_numbers_and_colors_survive_a_conversion(tmp_path, form):
    root = tmp_path / "source"
    for kind in ("image", "road", "parts", "edges"):
        (root / "train" / kind).mkdir(parents=True)
    save(root / "train/image/0.png", np.zeros((2, 4, 3)), RGB)
    save(root / "train/road/0.png", np.array([0, 255, 7, 7])[CLASSES])
    save(root / "train/parts/0.png", np.array([*COLORS])[CLASSES], RGB)
    save(root / "train/edges/0.png", 255 * (CLASSES > 1))
    (root / "dataset.yaml").write_text(
        "{name: x, tasks: {road: {type: segmentation, classes: {0: a, 255: b}, ignore: 7}, edges: {values: [0, 255]}, "
        "parts: {type: segmentation, classes: 2, colors: [[0, 0, 0], [128, 0, 0]], ignore: [[0, 128, 0]]}}}"
    )
    convert_dataset(root, tmp_path / "out", to=form, progress=False)
    source, converted = FolderDataset(root, "train")[0], DATASETS[form](tmp_path / "out", "train")[0]
    assert source.targets["road"].tolist() == np.where(CLASSES == 2, 0, CLASSES).tolist()
    assert source.valid["parts"].tolist() == (CLASSES < 2).tolist()
    assert_same_sample(source, converted)
