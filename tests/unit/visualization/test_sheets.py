"""Sheets of any size, labels and number of tasks are drawn and written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from builders import batch, sample, tasks
from mtpsl.structures import Batch, Output
from mtpsl.tasks import Depth
from mtpsl.visualization import draw_sheet, save_sheets
from mtpsl.visualization.grid import EMPTY, as_picture, cell_size, framed

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


def raw_of(target: Tensor, classes: int = 5) -> Tensor:
    """A raw prediction that decodes to the label."""
    return nn.functional.one_hot(target, classes).permute(2, 0, 1).float() if target.ndim == 2 else target


@pytest.mark.parametrize("size", [(32, 64), (31, 17), (1, 1), (1, 300), (700, 3), (500, 700)], ids=str)
def test_sheets_of_any_size_are_drawn(size: tuple[int, int]):
    full = sample(size=size)
    prediction = {task.name: raw_of(full.targets[task.name]) for task in tasks()}
    sheet = draw_sheet(tasks(), full.image, prediction, full.targets, full.valid, title="a very long title " * 40)
    assert sheet.width < 6 * 500
    assert min(sheet.size) > 60


def test_a_missing_label_gets_empty_boxes_and_no_columns_without_targets():
    full = sample(size=CELL)
    prediction = {task.name: raw_of(full.targets[task.name]) for task in tasks()}
    both = draw_sheet(tasks(), full.image, prediction, full.targets, full.valid)
    some = draw_sheet(tasks(), full.image, prediction, {"segmentation": full.targets["segmentation"]})
    none = draw_sheet(tasks(), full.image, prediction)
    box = np.array(EMPTY)
    assert not (np.asarray(both) == box).all(2).sum() > 1000
    assert (np.asarray(some) == box).all(2).sum() > 4 * 0.9 * np.prod(cell_size(*CELL))
    assert not (np.asarray(none) == box).all(2).sum() > 1000
    assert none.width < some.width
    hidden = {name: torch.zeros_like(valid) for name, valid in full.valid.items()}
    assert (np.asarray(draw_sheet(tasks(), full.image, prediction, full.targets, hidden)) == box).all(2).any()


def test_a_prediction_of_another_size_is_named():
    with pytest.raises(ValueError, match=r"depth: prediction should be as large as the image, \(32, 64\), not"):
        draw_sheet([Depth()], torch.rand(3, 32, 64), {"depth": torch.rand(1, 16, 32)})
    with pytest.raises(ValueError, match=r"depth: prediction should be as large as the image.*not none"):
        draw_sheet([Depth()], torch.rand(3, 32, 64), {})


def test_small_pictures_are_magnified_in_whole_pixels():
    picture = as_picture(torch.rand(3, 96, 128))
    size = cell_size(96, 128)
    assert size == (192, 256)
    assert np.array_equal(np.asarray(framed(picture, size))[1:-1, 1:-1], np.asarray(picture).repeat(2, 0).repeat(2, 1))


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
    samples = [sample(key, seed=i).with_labels_of(["depth"]) for i, key in enumerate(keys)]
    specs = {task.name: task.target_spec for task in tasks()}
    files = save_sheets(Fixed(), tasks(), [Batch.collate(samples, specs)], tmp_path / "out" / "in", limit=8)
    assert len(set(files)) == len(keys)
    assert {path.parent for path in files} == {tmp_path / "out" / "in"}
    assert sorted(tmp_path.rglob("*.png")) == sorted(files)
    assert files[0].name == "val_000_1.png"
