"""Every cell shows what it says: one scale, hatched where there is no label, errors where they are, photos below."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from builders import label, sample, tasks
from mtpsl.tasks import TASKS, ClassMap, Depth, Edges, MultiLabel, Normals, Saliency, Segmentation, Task
from mtpsl.tasks.binary import BinaryTask
from mtpsl.visualization import draw_cells
from mtpsl.visualization.cells import TaskCells, task_cells
from mtpsl.visualization.scales import hatched
from mtpsl.visualization.scores import score_line

SIZE = (32, 64)
PHOTO = torch.full((3, *SIZE), 0.5)
EIGHT: list[Task] = [
    kind(name=name, **{"segmentation": {"num_classes": 5}, "multilabel": {"class_names": ["a", "b"]}}.get(name, {}))
    for name, kind in TASKS.items()
]


def drawn(task: Task, raw: Tensor, target: Tensor | None = None, valid: Tensor | None = None) -> TaskCells:
    return task_cells(task, PHOTO, raw, target, valid, SIZE)


def pixels(cells: TaskCells, name: str) -> np.ndarray:
    return np.asarray(cells.pictures[name]).astype(int)


def raw_of(task: Task, target: Tensor) -> Tensor:
    """A raw prediction that decodes to the label."""
    if isinstance(task, ClassMap):
        return nn.functional.one_hot(target, task.num_classes).permute(2, 0, 1).float()
    return 20 * target - 10 if isinstance(task, BinaryTask) else target


def test_label_and_prediction_have_one_scale() -> None:
    depth = torch.full((1, *SIZE), 2.0)
    depth[..., 0, 0] = 1.0
    prediction = torch.full((1, *SIZE), 2.0)
    prediction[..., 0, 0] = 9.0
    both = drawn(Depth(), prediction, depth)
    assert (pixels(both, "label")[5, 5] == pixels(both, "prediction")[5, 5]).all()
    assert (pixels(drawn(Depth(), prediction), "prediction")[5, 5] != pixels(both, "prediction")[5, 5]).any()


@pytest.mark.parametrize("task", EIGHT, ids=lambda task: task.name)
def test_places_without_a_label_are_hatched_in_label_and_error_only(task: Task) -> None:
    full = label(task, SIZE)
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[:10] = False
    target = full.clone()
    target[..., :10, :] = 255 if target.dtype == torch.long else float("nan")
    cells = drawn(task, raw_of(task, full), target, valid)
    pattern = np.asarray(hatched(*SIZE)).astype(int)
    for name in ("label", "error"):
        assert (pixels(cells, name)[:10] == pattern[:10]).all()
        assert (pixels(cells, name)[10:] != pattern[10:]).any(2).mean() > 0.9
    assert (pixels(cells, "prediction")[:10] != pattern[:10]).any(2).mean() > 0.9
    plain = drawn(task, raw_of(task, full), full)
    some, all_seen = (x.legends["prediction"](300) for x in (cells, plain))
    assert some is not None
    assert all_seen is None or some.width * some.height > all_seen.width * all_seen.height  # says what hatched means


@pytest.mark.parametrize("task", EIGHT, ids=lambda task: task.name)
def test_a_perfect_prediction_looks_like_its_label(task: Task) -> None:
    target = label(task, SIZE)
    cells = drawn(task, raw_of(task, target), target)
    assert np.abs(pixels(cells, "label") - pixels(cells, "prediction")).max() <= 1


def test_wrong_classes_are_red_and_right_ones_let_the_gray_photo_be_seen() -> None:
    task = Segmentation(num_classes=5)
    target = torch.zeros(SIZE, dtype=torch.long)
    raw = raw_of(task, target)
    raw[3, :, 40:] = 9
    red, green, blue = pixels(drawn(task, raw, target), "error").transpose(2, 0, 1)
    assert (red[:, 40:] > 2 * np.maximum(green, blue)[:, 40:]).all()
    assert (red[:, :40] == green[:, :40]).all()
    assert (green[:, :40] == blue[:, :40]).all()
    assert 60 < red[0, 0] < 200


def test_larger_errors_are_darker_and_the_scale_ends_at_a_round_number() -> None:
    target = torch.ones(1, *SIZE)
    error = pixels(drawn(Depth(), 1 + torch.linspace(0, 3.3, SIZE[1]).expand(1, *SIZE), target), "error").sum(2)[0]
    assert (np.diff(error[:: SIZE[1] // 8]) < 0).all()
    x, z = (torch.eye(3)[i].view(3, 1, 1).expand(3, *SIZE) for i in (0, 2))
    wrong, right = (pixels(drawn(Normals(), raw, z), "error").sum() for raw in (x, z))
    assert wrong < right / 2


def test_colors_lie_on_the_photo_where_something_is_found() -> None:
    raw = torch.full((1, *SIZE), -20.0)
    raw[:, :, 40:] = 20
    for task in (Saliency(), Edges(), MultiLabel(class_names=["a"])):
        over = pixels(drawn(task, raw), "overlay")
        assert np.abs(over[:, :40] - 127.5).max() <= 1
        assert np.ptp(over[:, 40:], axis=2).min() > 50
    classes = drawn(Segmentation(num_classes=2, colors=[[0, 0, 0], [200, 0, 0]]), torch.cat([-raw, raw]))
    over = pixels(classes, "overlay")
    assert (over[:, 39:41] == 255).all()
    assert (over[:, 45:, 0] > over[:, 45:, 1] + 50).all()
    empty = Segmentation(num_classes=2, class_names=["Background", "thing"])
    assert np.abs(pixels(drawn(empty, torch.cat([-raw, raw])), "overlay")[:, :38] - 127.5).max() <= 1
    assert "overlay" not in drawn(Depth(), raw).pictures


def test_predictions_that_are_not_finite_are_black_and_named() -> None:
    for task in EIGHT:
        target = label(task, SIZE)
        prediction = raw_of(task, target).clone()
        for wrong in (float("nan"), float("inf")):
            prediction[:, :10] = wrong
            cells = drawn(task, prediction, target)
            for name in ("prediction", "error"):
                assert not pixels(cells, name)[:10].any()
                assert pixels(cells, name)[10:].any()
            assert not pixels(drawn(task, prediction), "prediction")[:10].any()


def test_scores_are_those_of_the_image() -> None:
    """Worked out by hand: half the pixels are 1 and 2 m off; 3 of 4 pixels are right; all normals 90 degrees off."""
    valid = torch.ones(1, 2, 2, dtype=torch.bool)
    zeros = torch.zeros(1, 2, 2, dtype=torch.long)
    raw = torch.zeros(1, 2, 2, 2)
    raw[0, 0] = 1
    raw[0, 1, 0, 0] = 2
    # class 0: 3 of 4, class 1: 0 of 1
    assert score_line(Segmentation(num_classes=2), raw, zeros, valid) == "mIoU 37.5 %"
    depth = torch.tensor([[[[1.0, 2.0], [1.0, 3.0]]]])
    assert score_line(Depth(unit="ft"), depth, torch.ones(1, 1, 2, 2), valid) == "absolute error 0.75 ft"
    x, y = torch.eye(3)[0].view(1, 3, 1, 1).expand(1, 3, 2, 2), torch.eye(3)[1].view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert score_line(Normals(), x, y, valid) == "mean error 90.0 deg"
    edges = torch.zeros(1, 1, 16, 16)
    edges[..., 8, :] = 1
    assert score_line(Edges(), edges * 20 - 10, edges, torch.ones(1, 16, 16, dtype=torch.bool)) == "odsF 100.0 %"


def test_cells_come_as_arrays_by_task_and_name() -> None:
    full = sample(size=SIZE)
    raw = {task.name: raw_of(task, full.targets[task.name]) for task in tasks()}
    cells = draw_cells(tasks(), full.image, raw, {"depth": full.targets["depth"]})
    assert [*cells] == [
        "photo",
        *("segmentation/prediction", "segmentation/overlay", "segmentation/prediction legend"),
        *("depth/label", "depth/prediction", "depth/error", "depth/prediction legend", "depth/error legend"),
        *("normals/prediction", "normals/prediction legend"),
    ]
    assert all(cell.dtype == np.uint8 and cell.ndim == 3 and cell.shape[2] == 3 for cell in cells.values())
    assert {cells[name].shape for name in cells if "legend" not in name} == {(160, 320, 3)}
    assert all(cells[name].shape[1] <= 600 for name in cells if "legend" in name)


def test_thin_lines_survive_when_a_large_picture_is_shrunk() -> None:
    edges = torch.zeros(1, 60, 1200)
    edges[:, :, torch.arange(11, 1200, 101)] = 1
    cells = task_cells(Edges(), torch.full((3, 60, 1200), 0.5), 20 * edges - 10, edges, None, (24, 480))
    for name in ("error", "overlay"):
        colored = np.ptp(np.asarray(cells.pictures[name]).astype(int), axis=2)[12] > 15
        assert np.count_nonzero(np.diff(colored.astype(int)) == 1) == 12


def test_a_picture_is_smooth_and_a_label_crisp_when_magnified() -> None:
    checker = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    raw = {"segmentation": raw_of(Segmentation(num_classes=2), checker)}
    cells = draw_cells([Segmentation(num_classes=2)], checker.float().expand(3, 8, 8), raw)
    assert isinstance(Image.fromarray(cells["photo"]), Image.Image)
    assert len(np.unique(cells["photo"])) > 10
    assert len(np.unique(cells["segmentation/prediction"].reshape(-1, 3), axis=0)) == 2
