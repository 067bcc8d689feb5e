"""Every form in which tools write a label becomes the same label, or a refusal that says what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from label_files import (
    BIT_FORMS,
    EVERY_FORM,
    GRAY_ALPHA,
    PALETTE,
    PALETTE_FORMS,
    RGB,
    RGB_ALPHA,
    write_as,
    write_png,
)
from mtpsl.data.formats import (
    FORMATS,
    DepthFormat,
    EdgesFormat,
    HumanPartsFormat,
    NormalsFormat,
    SaliencyFormat,
    SegmentationFormat,
)
from mtpsl.data.formats.base import LabelFormat
from mtpsl.errors import UserError

NUMBERS = np.array([[0, 1, 2, 2, 3], [1, 0, 0, 3, 3], [2, 2, 1, 0, 1]])
ZERO_ONE = np.array([[0, 1, 1, 0, 1], [1, 0, 0, 0, 1]])
COLORS = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
TABLE = np.array(COLORS)
NEEDED = {"segmentation": {"classes": 4}, "multilabel": {"classes": ["a"]}}
ALL = [one(**NEEDED.get(kind, {})) for kind, one in FORMATS.items()]


def complaint(label_format: LabelFormat, path: Path) -> str:
    with pytest.raises(UserError) as caught:
        label_format.read(path, None)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize("form", EVERY_FORM)
@pytest.mark.parametrize(
    "label_format", [SegmentationFormat(4), HumanPartsFormat(), SegmentationFormat(4, colors=COLORS)]
)
def test_classes_are_the_numbers_as_stored(tmp_path, form, label_format):
    target, valid = label_format.read(write_as(form, tmp_path, NUMBERS), NUMBERS.shape)
    assert target.tolist() == NUMBERS.tolist()
    assert target.dtype == torch.long
    assert valid.all()


@pytest.mark.parametrize("form", [*EVERY_FORM, *BIT_FORMS])
@pytest.mark.parametrize("label_format", [SegmentationFormat(2), HumanPartsFormat(), EdgesFormat(), SaliencyFormat()])
def test_zero_and_one_are_read_in_every_form(tmp_path, form, label_format):
    target, valid = label_format.read(write_as(form, tmp_path, ZERO_ONE), ZERO_ONE.shape)
    assert target.squeeze(0).tolist() == ZERO_ONE.tolist()
    assert valid.all()


@pytest.mark.parametrize(
    "form", [form for form in EVERY_FORM if form not in ("png gray 2", "png gray 4", *PALETTE_FORMS)]
)
def test_depth_is_read_in_every_form_of_at_least_eight_bits(tmp_path, form):
    target, valid = DepthFormat(scale=0.5).read(write_as(form, tmp_path, NUMBERS), NUMBERS.shape)
    assert target[0].tolist() == (NUMBERS / 2).tolist()
    assert valid.tolist() == (NUMBERS > 0).tolist()


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("png gray 1", "8 or 16 bits in a PNG, not 1"),
        ("png gray 2", "8 or 16 bits in a PNG, not 2"),
        ("png gray 4", "8 or 16 bits in a PNG, not 4"),
        ("npy bool", "not bool"),
        ("png palette 1", "not a color table"),
        ("png palette 8", "not a color table"),
    ],
)
def test_depth_is_refused_where_its_numbers_are_left_open(tmp_path, form, found):
    assert found in complaint(DepthFormat(), write_as(form, tmp_path, ZERO_ONE))


def test_depth_that_is_missing_everywhere_may_have_one_bit(tmp_path):
    for form in ("png gray 1", "png gray 4", "npy bool"):
        assert not DepthFormat().read(write_as(form, tmp_path, 0 * ZERO_ONE), ZERO_ONE.shape)[1].any()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", [RGB, RGB_ALPHA])
@pytest.mark.parametrize("declared", [False, True])
def test_normals_are_read_with_all_their_bits(tmp_path, bits, kind, declared):
    vectors = np.random.default_rng(0).normal(size=(6, 7, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    half = 2 ** (bits - 1)
    offset, divisor = (half, half - 1) if declared else (half - 0.5, half - 0.5)
    stored = np.round(vectors * divisor + offset)
    if kind == RGB_ALPHA:
        stored = np.dstack([stored, np.full((6, 7), 2**bits - 1)])
    path = write_png(tmp_path / "label.png", stored.astype(np.int64), bits, kind)
    label_format = NormalsFormat(offset=offset, divisor=divisor) if declared else NormalsFormat()
    target, valid = label_format.read(path, (6, 7))
    error = (target - torch.from_numpy(vectors).permute(2, 0, 1)).abs().max()
    assert error < (0.01 if bits == 8 else 4e-5)
    assert valid.all()
    array = tmp_path / "label.npy"
    np.save(array, stored[..., :3].astype(f"uint{bits}"))
    assert torch.equal(label_format.read(array, (6, 7))[0], target)


def test_transparent_labels_are_refused_by_every_task(tmp_path):
    gray = write_png(tmp_path / "a.png", np.dstack([ZERO_ONE, 255 * ZERO_ONE]), 8, GRAY_ALPHA)
    color = write_png(tmp_path / "b.png", np.dstack([ZERO_ONE] * 3 + [255 * ZERO_ONE]), 8, RGB_ALPHA)
    for label_format in ALL:
        for path in (gray, color):
            expected = "3 channels" if isinstance(label_format, NormalsFormat) else "remove the alpha channel"
            assert expected in complaint(label_format, path)


def test_a_jpeg_named_png_is_refused_as_a_label(tmp_path):
    Image.fromarray(ZERO_ONE.astype(np.uint8)).save(tmp_path / "a.png", "JPEG")
    for kind, label_format in FORMATS.items():
        assert "is a JPEG" in complaint(label_format(**NEEDED.get(kind, {})), tmp_path / "a.png")


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_of_saliency_are_gray_levels(tmp_path, bits):
    levels = np.arange(2**bits)[None]
    target, _ = SaliencyFormat().read(write_png(tmp_path / "a.png", levels, bits), levels.shape)
    assert target[0].tolist() == (levels > (2**bits - 1) / 2).tolist()


@pytest.mark.parametrize(
    ("numbers", "salient"),
    [
        (np.array([[0, 1]], np.uint8), [[0, 1]]),
        (np.array([[0, 1, 255]], np.uint8), [[0, 1, 0]]),  # 255 is ignored here
        (np.array([[0, 1, 127, 128, 254]], np.uint8), [[0, 0, 0, 1, 1]]),
        (np.array([[0.2, 0.5, 0.7]], np.float32), [[0, 0, 1]]),
        (np.array([[0.2, 100.0, 200.0]], np.float64), [[0, 0, 1]]),
        (np.array([[True, False]]), [[1, 0]]),
    ],
)
def test_the_threshold_of_saliency_fits_the_numbers_of_a_file(tmp_path, numbers, salient):
    np.save(tmp_path / "a.npy", numbers)
    assert SaliencyFormat(ignore=255).read(tmp_path / "a.npy", None)[0][0].tolist() == salient


def test_a_threshold_that_is_declared_holds_for_all_but_single_bits(tmp_path):
    strict = SaliencyFormat(threshold=127.5)
    assert not strict.read(write_as("png gray 8", tmp_path, ZERO_ONE), ZERO_ONE.shape)[0].any()
    assert strict.read(write_as("png gray 1", tmp_path, ZERO_ONE), ZERO_ONE.shape)[0][0].tolist() == ZERO_ONE.tolist()


@pytest.mark.parametrize("numbers", [[[0, 40000]], [[-3.0, 2.0]]])
def test_saliency_outside_of_gray_values_wants_a_threshold(tmp_path, numbers):
    np.save(tmp_path / "a.npy", numbers)
    assert "`threshold: 0.5`" in complaint(SaliencyFormat(), tmp_path / "a.npy")
    assert SaliencyFormat(threshold=1).read(tmp_path / "a.npy", None)[0].any()


def test_saliency_reads_gray_color_tables_and_masks_of_two_places(tmp_path):
    places = np.array([[0, 1, 1]])
    inverse = write_png(tmp_path / "a.png", places, 8, PALETTE, np.array([[255] * 3, [0] * 3]))
    assert SaliencyFormat().read(inverse, None)[0].tolist() == [[[1, 0, 0]]]
    red = write_png(tmp_path / "b.png", places, 8, PALETTE, np.array([[0, 0, 0], [80, 0, 0]]))
    assert SaliencyFormat().read(red, None)[0].tolist() == [[[0, 1, 1]]]
    assert "not a color table" in complaint(
        SaliencyFormat(), write_png(tmp_path / "c.png", 2 * places, 8, PALETTE, np.array(COLORS))
    )


@pytest.mark.parametrize("label_format", [DepthFormat(), EdgesFormat(), SaliencyFormat()])
def test_pictures_in_colors_are_never_to_be_saved_as_gray(tmp_path, label_format):
    text = complaint(label_format, write_png(tmp_path / "a.png", TABLE[NUMBERS], 8, RGB))
    assert "1 channel, not 3 that differ: store the numbers themselves" in text


@pytest.mark.parametrize(
    ("image", "label"), [((12, 16), (6, 8)), ((9, 12), (12, 16)), ((38, 50), (19, 25)), ((15, 20), (8, 10))]
)
def test_a_label_of_another_camera_is_resized_with_its_image(tmp_path, image, label):
    depth = np.arange(label[0] * label[1]).reshape(label) + 1
    path = write_as("npy float32", tmp_path, depth)
    target, valid = DepthFormat().read(path, image, (3, 4))
    alone, _ = DepthFormat().read(path, label, (3, 4))
    assert torch.equal(target, alone)
    assert target.shape == (1, 3, 4)
    assert valid.all()
    with pytest.raises(UserError, match=r"not .*: resize it .* or everything on reading with --data\.size"):
        DepthFormat().read(path, image)


@pytest.mark.parametrize("label", [(16, 12), (12, 14), (3, 12, 16)])
def test_a_label_of_another_view_is_refused_whatever_the_size(tmp_path, label):
    path = write_as("npy float32", tmp_path, np.ones(label))
    with pytest.raises(UserError, match=r"should have its image's size 12x16 .*\(h, w, channels\)"):
        DepthFormat().read(path, (12, 16), (6, 8))


def test_a_label_that_is_no_picture_is_named_without_python_s_words(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    assert complaint(SegmentationFormat(4), tmp_path / "text.png") == (
        ": cannot be read as a label (it is no PNG): replace or remove the file"
    )
