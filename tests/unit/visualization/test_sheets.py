"""Sheets show what they say: one scale, black where not valid, the right score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from builders import batch, sample, tasks
from mtpsl.structures import Batch, Output
from mtpsl.tasks import Depth, Edges, HumanParts, Normals, Saliency, Segmentation
from mtpsl.visualization import draw_sheet, save_sheets
from mtpsl.visualization.grid import EMPTY, as_picture, cell_size, framed
from mtpsl.visualization.legends import class_legend, legend, normals_legend
from mtpsl.visualization.sheets import column, score_line

CELL = (32, 64)


class Fixed(nn.Module):
    stride = 32

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.count = 0

    def forward(self, images: Tensor) -> Output:
        assert not self.training
        self.count += len(images)
        bright = images.mean(1, keepdim=True) * self.weight
        raw = {"segmentation": bright.repeat(1, 5, 1, 1), "depth": bright * 3, "normals": images, "edges": bright}
        return Output(raw, [])


def pixels(picture: Image.Image) -> np.ndarray:
    """Without the frame."""
    return np.asarray(picture)[1:-1, 1:-1]


def raw_of(target: Tensor, classes: int = 5) -> Tensor:
    """A raw prediction that decodes to the label."""
    return nn.functional.one_hot(target, classes).permute(2, 0, 1).float() if target.ndim == 2 else target


def test_label_and_prediction_have_one_scale():
    depth = torch.full((1, *CELL), 2.0)
    depth[..., 0, 0] = 1.0
    prediction = torch.full((1, *CELL), 2.0)
    prediction[..., 0, 0] = 9.0
    _, label, predicted, *_ = column(Depth(), prediction, depth, None, CELL, 200, box=True)
    assert tuple(pixels(label)[5, 5]) == tuple(pixels(predicted)[5, 5])
    alone = pixels(column(Depth(), prediction, None, None, CELL, 200, box=False)[1])
    assert tuple(alone[5, 5]) != tuple(pixels(predicted)[5, 5])


def test_pixels_that_are_not_valid_are_black_in_the_label_only():
    full = sample(size=CELL)
    valid = torch.ones(CELL, dtype=torch.bool)
    valid[:10] = False
    for task in tasks():
        target = full.targets[task.name].clone()
        target[..., :10, :] = 255  # whatever a data set writes there
        _, label, predicted, *_ = column(task, raw_of(full.targets[task.name]), target, valid, CELL, 200, box=True)
        assert not pixels(label)[:10].any()
        assert pixels(label)[10:].any(2).mean() > 0.9
        assert pixels(predicted)[:10].any(2).mean() > 0.9


def test_a_perfect_prediction_looks_like_its_label():
    full = sample(size=CELL)
    for task in tasks():
        target = full.targets[task.name]
        _, label, predicted, *_ = column(task, raw_of(target), target, None, CELL, 200, box=True)
        assert np.array_equal(pixels(label), pixels(predicted))


def test_scores_are_those_of_the_image():
    """Worked out by hand: half the pixels are 1 and 2 m off; 3 of 4 pixels are right; all normals 90 degrees off."""
    valid = torch.ones(1, 2, 2, dtype=torch.bool)
    zeros = torch.zeros(1, 2, 2, dtype=torch.long)
    raw = torch.zeros(1, 2, 2, 2)
    raw[0, 0] = 1
    raw[0, 1, 0, 0] = 2
    # class 0: 3 of 4, class 1: 0 of 1
    assert score_line(Segmentation(num_classes=2), raw, zeros, valid) == "mIoU 37.5 %"
    depth = torch.tensor([[[[1.0, 2.0], [1.0, 3.0]]]])
    assert score_line(Depth(unit="ft"), depth, torch.ones(1, 1, 2, 2), valid) == "abs_err 0.75 ft"
    x, y = torch.eye(3)[0].view(1, 3, 1, 1).expand(1, 3, 2, 2), torch.eye(3)[1].view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert score_line(Normals(), x, y, valid) == "mean_err 90.0 deg"
    edges = torch.zeros(1, 1, 16, 16)
    edges[..., 8, :] = 1
    assert score_line(Edges(), edges * 20 - 10, edges, torch.ones(1, 16, 16, dtype=torch.bool)) == "odsF 100.0 %"


@pytest.mark.parametrize("size", [(32, 64), (31, 17), (1, 1), (1, 300), (700, 3), (500, 700)], ids=str)
def test_sheets_of_any_size_are_drawn(size: tuple[int, int]):
    full = sample(size=size)
    prediction = {task.name: raw_of(full.targets[task.name]) for task in tasks()}
    sheet = draw_sheet(tasks(), full.image, prediction, full.targets, full.valid, title="a very long title " * 40)
    assert sheet.width < 5 * 700
    assert min(sheet.size) > 60


def test_a_missing_label_gets_an_empty_box_and_no_label_row_without_targets():
    full = sample(size=CELL)
    prediction = {task.name: raw_of(full.targets[task.name]) for task in tasks()}
    both = draw_sheet(tasks(), full.image, prediction, full.targets, full.valid)
    some = draw_sheet(tasks(), full.image, prediction, {"segmentation": full.targets["segmentation"]})
    none = draw_sheet(tasks(), full.image, prediction)
    box = np.array(EMPTY)
    assert not (np.asarray(both) == box).all(2).sum() > 1000
    assert (np.asarray(some) == box).all(2).sum() > 2 * 0.9 * np.prod(cell_size(*CELL))
    assert not (np.asarray(none) == box).all(2).sum() > 1000
    assert none.height < some.height
    hidden = {name: torch.zeros_like(valid) for name, valid in full.valid.items()}
    assert (np.asarray(draw_sheet(tasks(), full.image, prediction, full.targets, hidden)) == box).all(2).any()


def test_predictions_that_are_not_finite_are_black():
    for task, wrong in zip(tasks(), [float("nan"), float("inf"), float("nan")], strict=True):
        prediction = torch.rand(task.out_channels, *CELL)
        prediction[:, :10] = wrong
        target = sample(size=CELL).targets[task.name]
        for label in (target, None):
            parts = column(task, prediction, label, None, CELL, 200, box=True)
            assert not pixels(parts[2])[:10].any()
            assert pixels(parts[2])[10:].any()


def test_a_prediction_of_another_size_is_named():
    with pytest.raises(ValueError, match=r"depth: prediction should be as large as the image, \(32, 64\), not"):
        draw_sheet([Depth()], torch.rand(3, 32, 64), {"depth": torch.rand(1, 16, 32)})
    with pytest.raises(ValueError, match=r"depth: prediction should be as large as the image.*not none"):
        draw_sheet([Depth()], torch.rand(3, 32, 64), {})


def test_the_legend_has_the_classes_that_occur():
    task = Segmentation(num_classes=4, colors=[[250, 0, 0], [0, 250, 0], [0, 0, 250], [9, 99, 199]])
    values = torch.tensor([[[0, 3], [3, 2]]])
    valid = torch.tensor([[[True, True], [True, False]]])
    picture = class_legend(task, values, valid, 300)
    assert picture is not None
    shown = {tuple(color) for color in np.asarray(picture).reshape(-1, 3)}
    assert {(250, 0, 0), (9, 99, 199)} <= shown
    assert not {(0, 250, 0), (0, 0, 250)} & shown
    assert class_legend(task, values, torch.zeros_like(valid), 300) is None


def test_parts_of_bodies_have_a_legend_and_saliency_needs_none():
    valid = torch.ones(1, 1, 2, dtype=torch.bool)
    picture = legend(HumanParts(), torch.tensor([[[1, 6]]]), valid, 300)
    assert picture is not None
    shown = {tuple(color) for color in np.asarray(picture).reshape(-1, 3)}
    colors = (HumanParts().colors * 255).round().int().tolist()
    assert {tuple(colors[1]), tuple(colors[6])} <= shown
    assert tuple(colors[2]) not in shown
    assert legend(Saliency(), torch.ones(1, 1, 1, 2), valid, 300) is None


def test_the_depth_bar_has_the_colors_of_the_picture():
    values = torch.tensor([[[[1.0, 2.0, 5.0]]]])
    valid = torch.ones(1, 1, 3, dtype=torch.bool)
    picture = legend(Depth(), values, valid, 300)
    assert picture is not None
    shown = {tuple(color) for color in np.asarray(picture).reshape(-1, 3)}
    drawn = np.asarray(as_picture(Depth().colorize(values)[0])).reshape(-1, 3)
    assert {tuple(color) for color in drawn} <= shown


def test_small_pictures_are_magnified_in_whole_pixels():
    picture = as_picture(torch.rand(3, 96, 128))
    size = cell_size(96, 128)
    assert size == (288, 384)
    assert np.array_equal(pixels(framed(picture, size)), np.asarray(picture).repeat(3, 0).repeat(3, 1))


def test_save_sheets_draws_the_first_samples_and_no_more(tmp_path: Path):
    first, second = batch([("segmentation", "depth"), (), ("normals",)]), batch([("depth",), ("depth",)])
    network = Fixed().train()

    def loader():
        yield first
        yield second
        raise AssertionError("read too far")

    files = save_sheets(network, tasks(), loader(), tmp_path / "new" / "pictures", limit=4)
    assert [path.name for path in files] == ["image0.png", "image1.png", "image2.png", "image0-2.png"]
    assert sorted(path.name for path in (tmp_path / "new" / "pictures").iterdir()) == sorted(p.name for p in files)
    assert network.training
    assert network.count == 4
    for path in files:
        with Image.open(path) as sheet:
            sheet.load()
    assert save_sheets(network, tasks(), loader(), tmp_path / "none", limit=0) == []


def test_keys_become_safe_file_names(tmp_path: Path):
    keys = ["val/000_1", "../../outside", "/absolute", "a b", "a_b", "...", "x" * 400, "ä"]
    samples = [sample(key, seed=i).keep(["depth"]) for i, key in enumerate(keys)]
    specs = {task.name: task.target_spec for task in tasks()}
    files = save_sheets(Fixed(), tasks(), [Batch.collate(samples, specs)], tmp_path / "out" / "in", limit=8)
    assert len(set(files)) == len(keys)
    assert {path.parent for path in files} == {tmp_path / "out" / "in"}
    assert sorted(tmp_path.rglob("*.png")) == sorted(files)
    assert files[0].name == "val_000_1.png"


def test_the_ball_of_normals_has_up_where_their_y_axis_says() -> None:
    up, down = (np.asarray(normals_legend(Normals(y_axis=axis))) for axis in ("up", "down"))
    ball = (slice(0, 46), slice(0, 46))  # the picture; words follow to its right
    assert not (up[ball] == down[ball]).all()
    assert (up[ball][::-1] == down[ball]).all()
