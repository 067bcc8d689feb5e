"""Several binary maps: values by hand, scores by torchmetrics, and what files hold."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.classification import MultilabelJaccardIndex

from mtpsl.data.check.statistics import statistics_of
from mtpsl.data.formats import MultiLabelFormat
from mtpsl.errors import UserError
from mtpsl.tasks import MultiLabel
from mtpsl.visualization.legends import legend


def test_the_loss_of_known_probabilities_is_that_worked_out_by_hand() -> None:
    prediction = torch.tensor([[[[math.log(3), 9.0]], [[0.0, 9.0]]]])  # probabilities 3/4 and 1/2
    target, valid = torch.tensor([[[[1.0, math.nan]], [[0.0, 0.0]]]]), torch.tensor([[[True, False]]])
    loss = MultiLabel(class_names=["a", "b"]).loss(prediction, target, valid)
    assert float(loss) == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_overlaps_are_those_of_torchmetrics_and_absent_classes_are_left_out() -> None:
    random = torch.Generator().manual_seed(0)
    task = MultiLabel(class_names=["a", "b", "c", "nowhere"])
    prediction, target = torch.randn((2, 4, 9, 8), generator=random), torch.rand((2, 4, 9, 8), generator=random) > 0.6
    prediction[:, 3], target[:, 3] = -1, False
    valid = torch.rand((2, 9, 8), generator=random) > 0.3
    metric = task.metric()
    for i in range(2):
        metric.update(prediction[i : i + 1], target[i : i + 1].float(), valid[i : i + 1])
    oracle = MultilabelJaccardIndex(3, average="none")
    seen, truth = (x.movedim(1, -1)[valid][:, :3] for x in (prediction.sigmoid(), target.long()))
    expected = (100 * oracle(seen, truth)).tolist()
    found = task.class_scores(metric)
    assert [found[name] for name in "abc"] == pytest.approx(expected, rel=1e-5)
    assert math.isnan(found["nowhere"])
    assert float(metric.compute()["miou"]) == pytest.approx(sum(expected) / 3, rel=1e-5)


def test_a_class_shows_its_color_and_its_legend_names_it() -> None:
    task = MultiLabel(class_names=["a", "b"])
    maps, seen = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]]]), torch.ones(1, 1, 2) > 0
    assert torch.allclose(task.colorize(maps)[0, :, 0, 0], task.colors[0])
    assert legend(task, maps, seen, 200) is not None
    assert legend(task, 0 * maps, seen, 200) is None


def test_an_opaque_fourth_channel_is_a_class(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[[0, 255, 0, 255], [255, 0, 0, 255]]], np.uint8)).save(path)
    target, valid = MultiLabelFormat(["a", "b", "c", "d"], values=[0, 255]).read(path, (1, 2))
    assert target[:, 0].tolist() == [[0, 1], [1, 0], [0, 0], [1, 1]]
    assert valid.all()


def test_a_pixel_with_a_number_to_ignore_is_unknown(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[[1, 0], [1, 9], [0, 0]]], np.uint8))
    target, valid = MultiLabelFormat(["a", "b"], ignore=9).read(tmp_path / "a.npy", (1, 3))
    assert target.tolist() == [[[1, 0, 0]], [[0, 0, 0]]]
    assert valid.tolist() == [[True, False, True]]
    task, found = MultiLabel(class_names=["a", "b"]), statistics_of(MultiLabel(class_names=["a", "b"]))
    found.update(target.numpy(), valid.numpy())
    assert found.values(task) == {"a": 0.5, "b": 0}
    assert found.notes(task) == ["no pixel of class b"]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2, 3), np.uint8), "should have 2 channels, one for each of `classes`, not 3"),
        (np.full((2, 2, 2), 255, np.uint8), "value 255 at 8 pixels, but multilabel should be 0, 1"),
    ],
)
def test_files_that_mean_something_else_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UserError) as caught:
        MultiLabelFormat(["a", "b"]).read(tmp_path / "a.npy", None)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"classes": 3}, {"classes": []}, {"classes": ["a", "a"]}])
def test_classes_have_different_names(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="`classes` should be a list of different names"):
        MultiLabelFormat(**options)
    with pytest.raises(ValueError, match="multilabel: class_names should be one or more different names"):
        MultiLabel(class_names=["a", "a"])
    with pytest.raises(ValueError, match="`ignore` should not contain 1"):
        MultiLabelFormat(["a"], ignore=1)
