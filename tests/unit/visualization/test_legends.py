"""Legends name all that occurs, in full, with the colors and numbers of the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from builders import label
from mtpsl.tasks import Depth, Edges, HumanParts, MultiLabel, Normals, Regression, Saliency, Segmentation, Task
from mtpsl.tasks.drawing import ColorNames, ColorScale
from mtpsl.visualization.errors import draw_error
from mtpsl.visualization.grid import as_picture, font, paragraph
from mtpsl.visualization.legends import drawn, legend, unlabelled
from mtpsl.visualization.scales import SIZE, ticked, ticks


def colors_of(picture: Image.Image | None) -> set[tuple[int, ...]]:
    assert picture is not None
    return {tuple(color) for color in np.asarray(picture).reshape(-1, 3).tolist()}


def test_the_legend_has_the_classes_that_occur() -> None:
    task = Segmentation(num_classes=4, colors=[[250, 0, 0], [0, 250, 0], [0, 0, 250], [9, 99, 199]])
    values = torch.tensor([[[0, 3], [3, 2]]])
    valid = torch.tensor([[[True, True], [True, False]]])
    shown = colors_of(legend(task, values, valid, 300))
    assert {(250, 0, 0), (9, 99, 199)} <= shown
    assert not {(0, 250, 0), (0, 0, 250)} & shown
    assert legend(task, values, torch.zeros_like(valid), 300) is None


@pytest.mark.parametrize("width", [200, 600])
def test_many_classes_all_have_their_color_and_a_name_in_full(width: int) -> None:
    names = [f"class {i}" for i in range(59)] + ["a class whose name is far longer than all the others are " * 3]
    task = Segmentation(num_classes=60, class_names=names)
    values = torch.arange(60).view(1, 6, 10)
    picture = legend(task, values, values >= 0, width)
    assert picture is not None
    assert picture.width <= width
    assert {tuple(color) for color in (task.colors * 255).round().int().tolist()} <= colors_of(picture)


@pytest.mark.parametrize("width", [200, 600])
@pytest.mark.parametrize(
    "task",
    [
        Depth(inverse=True),
        Depth(unit="a unit of some length"),
        Normals(),
        Edges(),
        Saliency("a_task_with_quite_a_long_name"),
        HumanParts(),
        MultiLabel(class_names=["a", "something else that is rather long", "c"]),
        Regression(channels=2, unit="px per second", vector="image"),
    ],
    ids=str,
)
def test_legends_fit_into_their_room(task: Task, width: int) -> None:
    target = label(task)[None]
    seen = torch.ones(1, *target.shape[-2:], dtype=torch.bool)
    for picture in (
        legend(task, target, seen, width),
        drawn(task.legend(target, seen), width, [unlabelled(), unlabelled()]),
    ):
        assert picture is not None
        assert picture.width <= width


def test_long_words_take_more_lines_and_none_is_wider_than_the_room() -> None:
    words = "one two " + "x" * 90
    box = paragraph(words, SIZE, 120)
    assert box.width <= 122
    assert box.height >= font(SIZE).getlength(words) / 120 * SIZE


def test_parts_of_bodies_edges_and_saliency_have_a_legend() -> None:
    valid = torch.ones(1, 1, 2, dtype=torch.bool)
    shown = colors_of(legend(HumanParts(), torch.tensor([[[1, 6]]]), valid, 300))
    colors = (HumanParts().colors * 255).round().int().tolist()
    assert {tuple(colors[1]), tuple(colors[6])} <= shown
    assert tuple(colors[2]) not in shown
    for task in (Edges(), Saliency()):
        ends = task.colorize(torch.tensor([[[[0.0, 1.0]]]]))
        drawn_ends = {tuple(color) for color in np.asarray(as_picture(ends[0])).reshape(-1, 3).tolist()}
        assert drawn_ends <= colors_of(legend(task, torch.ones(1, 1, 1, 2), valid, 300))


def test_the_depth_bar_has_the_colors_of_the_picture() -> None:
    values = torch.tensor([[[[1.0, 2.0, 5.0]]]])
    picture = legend(Depth(), values, torch.ones(1, 1, 3, dtype=torch.bool), 600)
    shown = {tuple(color) for color in np.asarray(as_picture(Depth().colorize(values)[0])).reshape(-1, 3).tolist()}
    assert shown <= colors_of(picture)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.53, 5.87), (-3, 4), (0, 40), (1e-7, 3e-7), (2.0, 2.001), (0.96, 1.04), (-9e5, 1e6)]
)
def test_ticks_are_few_in_order_and_within_the_scale(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    assert found == sorted(set(found))
    slack = 1e-6 * (high - low)
    assert low - slack <= found[0] < found[-1] <= high + slack


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (3.0, 3.0), (1234567.0, 1234568.0), (-1e-9, 1e9)])
@pytest.mark.parametrize("width", [60, 200, 900])
def test_scales_of_any_range_and_room_are_drawn(low: float, high: float, width: int) -> None:
    scale = ColorScale(torch.rand(3, 256), low, high, "m", beyond=True)
    assert drawn(scale, width) is not None


def test_only_the_end_of_a_scale_that_goes_on_is_marked() -> None:
    scale = ColorScale(torch.rand(3, 4), 0.0, 40.0, "deg", beyond=True)
    assert [ticked(value, scale) for value in ticks(0.0, 40.0)] == ["0", "10", "20", "30", "≥ 40"]


def test_the_error_scale_reaches_nearly_all_errors() -> None:
    label, valid = torch.zeros(1, 1, 10, 100), torch.ones(1, 10, 100, dtype=torch.bool)
    raw = torch.full((1, 1, 10, 100), 0.37)
    raw[0, 0, 0, 0] = 50
    picture, _ = draw_error(Depth(), torch.rand(3, 10, 100), raw, label, valid, (10, 100))
    pixels = np.asarray(picture).astype(int).sum(2)
    assert pixels[5, 5] < 0.6 * 765  # 0.37 on a scale to 0.4
    assert pixels[0, 0] < pixels[5, 5]


def test_nothing_to_say_is_no_picture() -> None:
    assert drawn(None, 300) is None
    assert drawn(ColorNames((("a", (1.0, 0.0, 0.0)),)), 300) is not None


def test_the_ball_of_normals_has_up_where_their_y_axis_says() -> None:
    up, down = (
        Normals(y_axis=axis).legend(torch.zeros(1, 3, 1, 1), torch.ones(1, 1, 1) > 0) for axis in ("up", "down")
    )
    assert not torch.allclose(up.colors, down.colors)
    torch.testing.assert_close(up.colors.flip(1)[:, up.inside], down.colors[:, up.inside])
