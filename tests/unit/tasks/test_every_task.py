"""What holds for every registered task."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from builders import label
from mtpsl.structures import Score
from mtpsl.tasks import (
    TASKS,
    ClassMap,
    Depth,
    Edges,
    MultiLabel,
    Normals,
    Regression,
    Segmentation,
    Task,
    describe_task,
    make_task,
)
from mtpsl.tasks.binary import BinaryTask
from mtpsl.tasks.drawing import ColorScale, ErrorAmounts

SIZE = (12, 16)


MADE: dict[str, Task] = {
    **{name: kind() for name, kind in TASKS.items() if name not in ("segmentation", "multilabel")},  # type: ignore[call-arg]
    "segmentation": Segmentation(num_classes=5),
    "multilabel": MultiLabel(class_names=["a", "b", "c"]),
    "segmentation, absent classes as 0": Segmentation(num_classes=5, absent="zero"),
    "segmentation, weighted": Segmentation(
        num_classes=5, class_weights=[1, 2, 0.5, 0.3, 1], label_smoothing=0.1, dice=0.5
    ),
    "inverse depth": Depth(inverse=True),
    "depth by logarithms": Depth(loss="silog", gradient=0.5),
    "depth and its gradients": Depth(gradient=0.5),
    "normals by L1": Normals(loss="l1"),
    "albedo": Regression("albedo", channels=3, loss="l2", range=(0, 1)),
    "flow": Regression("flow", channels=2, loss="huber", unit="px", vector="image"),
    "scene flow": Regression("scene_flow", channels=4, vector="image"),
    "edges after nms": Edges(nms=True, workers=1),
}


@pytest.fixture(params=MADE)
def task(request: pytest.FixtureRequest) -> Task:
    return MADE[request.param]


def test_every_registered_task_is_tested() -> None:
    assert {type(task) for task in MADE.values()} == {*TASKS.values()}


def labels(task: Task, count: int = 3, size: tuple[int, int] = SIZE) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions, labels and masks with holes."""
    random = torch.Generator().manual_seed(0)
    prediction = torch.randn((count, task.out_channels, *size), generator=random)
    target = torch.stack([label(task, size, seed=1 + i) for i in range(count)])
    return prediction, target, torch.rand((count, *size), generator=random) > 1 / 3


def over(mask: Tensor, target: Tensor) -> Tensor:
    """A mask of images or pixels in the shape of the label."""
    return (mask if target.ndim == 3 else mask[:, None]).expand_as(target)


def poisoned(target: Tensor, valid: Tensor) -> Tensor:
    """What must never be read becomes NaN, or a class that does not exist."""
    return target.masked_fill(~over(valid, target), 255 if target.dtype == torch.long else float("nan"))


def values(task: Task, updates: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    metric = task.metric()
    for update in updates:
        metric.update(*update)
    return {name: float(value) for name, value in metric.compute().items()}


def test_the_loss_passes_gradcheck(task: Task) -> None:
    prediction, target, valid = labels(task, 2, (3, 4))
    target = target if target.dtype == torch.long else target.double()

    def loss(x: Tensor) -> Tensor:
        return task.loss(x, target, valid)

    assert torch.autograd.gradcheck(loss, prediction.double().requires_grad_())


def test_the_loss_of_an_image_does_not_depend_on_its_batch(task: Task) -> None:
    prediction, target, valid = labels(task)
    together = task.loss(prediction, target, valid)
    assert together.shape == (3,)
    alone = [task.loss(prediction[i : i + 1], target[i : i + 1], valid[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_what_is_not_valid_touches_neither_loss_nor_gradient(task: Task) -> None:
    prediction, target, valid = labels(task)
    valid[1] = False  # an image without a label
    results = []
    for shown in (target, poisoned(target, valid)):
        x = prediction.clone().requires_grad_()
        loss = task.loss(x, shown, valid)
        assert loss[1] == 0
        loss.sum().backward()
        assert x.grad is not None
        assert not x.grad.movedim(1, -1)[~valid].any()
        assert x.grad.movedim(1, -1)[valid].any()
        results.append((loss.detach(), x.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_a_batch_without_a_valid_pixel_gives_zero_loss_and_zero_gradient(task: Task) -> None:
    prediction, target, valid = labels(task)
    none = torch.zeros_like(valid)
    prediction.requires_grad_()
    loss = task.loss(prediction, poisoned(target, none), none)
    loss.sum().backward()
    assert loss.tolist() == [0, 0, 0]
    assert prediction.grad is not None
    assert not prediction.grad.any()


def test_the_metric_over_batches_equals_the_metric_over_everything(task: Task) -> None:
    prediction, target, valid = labels(task, 5)
    parts = [slice(0, 1), slice(1, 5)]
    whole = values(task, [(prediction, target, valid)])
    assert values(task, [(prediction[i], target[i], valid[i]) for i in parts]) == pytest.approx(whole)
    assert all(math.isfinite(value) for value in whole.values())


def test_metrics_of_two_processes_add_up(task: Task) -> None:
    prediction, target, valid = labels(task, 5)
    first, second = task.metric(), task.metric()
    first.update(prediction[:2], target[:2], valid[:2])
    second.update(prediction[2:], target[2:], valid[2:])
    for name, reduction in first._reductions.items():
        state = reduction(torch.stack([getattr(first, name), getattr(second, name)]))
        setattr(first, name, state)
    merged = {name: float(value) for name, value in first.compute().items()}
    assert merged == pytest.approx(values(task, [(prediction, target, valid)]))


def test_the_metric_does_not_read_what_is_not_valid(task: Task) -> None:
    prediction, target, valid = labels(task)
    assert values(task, [(prediction, poisoned(target, valid), valid)]) == values(task, [(prediction, target, valid)])


def test_a_metric_that_saw_nothing_valid_is_nan(task: Task) -> None:
    prediction, target, valid = labels(task)
    none = torch.zeros_like(valid)
    found = values(task, [(prediction, poisoned(target, none), none)])
    assert all(math.isnan(value) for value in found.values())


def test_every_number_of_the_metric_has_a_unit_and_a_direction(task: Task) -> None:
    prediction, target, valid = labels(task)
    metric = task.metric()
    metric.update(prediction, target, valid)
    computed = metric.compute()
    assert [*computed] == [*task.score_types]
    assert task.primary in task.score_types
    scores = task.scores(computed)
    assert all(isinstance(score, Score) and math.isfinite(score.value) for score in scores.values())


def test_a_perfect_prediction_scores_better_than_a_random_one(task: Task) -> None:
    prediction, target, valid = labels(task)
    if target.dtype == torch.long:
        perfect = 9 * torch.nn.functional.one_hot(target, task.out_channels).movedim(-1, 1).float()
    else:
        perfect = 20 * target - 10 if isinstance(task, BinaryTask) else target
    better, worse = (values(task, [(x, target, valid)])[task.primary] for x in (perfect, prediction))
    assert better > worse if task.score_types[task.primary][1] else better < worse
    assert (task.loss(perfect, target, valid) < task.loss(prediction, target, valid)).all()


def test_decoded_predictions_have_the_form_of_labels(task: Task) -> None:
    prediction, target, _ = labels(task)
    decoded = task.decode(prediction)
    assert decoded.shape == target.shape == (3, *task.target_spec.shape(*SIZE))
    assert decoded.dtype == target.dtype == task.target_spec.dtype


def test_encodings_have_equal_shapes_and_values_from_0_to_1(task: Task) -> None:
    prediction, target, valid = labels(task)
    for encoded in (
        task.encode_prediction(prediction.abs()),
        task.encode_target(target, valid),
        task.encode_target(poisoned(target, valid), valid),
    ):
        assert encoded.shape == (3, task.encoding_channels, *SIZE)
        assert ((encoded >= 0) & (encoded <= 1 + 1e-6)).all()


def test_encoded_labels_are_constant_where_not_valid_and_do_not_read_them(task: Task) -> None:
    _, target, valid = labels(task)
    encoded = task.encode_target(poisoned(target, valid), valid)
    assert torch.equal(encoded, task.encode_target(target, valid))
    assert encoded.movedim(1, -1)[~valid].unique().numel() == 1
    nowhere = torch.zeros_like(valid)
    assert task.encode_target(poisoned(target, nowhere), nowhere).unique().numel() == 1


def test_gradients_flow_through_the_encoded_prediction(task: Task) -> None:
    torch.manual_seed(0)
    prediction = labels(task)[0].requires_grad_()
    task.encode_prediction(prediction).square().mul(torch.rand(3, task.encoding_channels, *SIZE)).sum().backward()
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()
    assert prediction.grad.flatten(1).any(1).all()


def test_soft_values_are_what_two_predictions_are_compared_in(task: Task) -> None:
    prediction = labels(task)[0]
    soft = task.soft(prediction)
    assert soft.shape == (3, task.out_channels, *SIZE)
    decoded = task.decode(prediction)
    if decoded.dtype == torch.long:
        assert torch.equal(soft.argmax(1), decoded)
        torch.testing.assert_close(soft.sum(1), torch.ones(3, *SIZE))
    else:
        torch.testing.assert_close(task.decode(soft) if isinstance(task, Depth | Regression) else soft, decoded)
    assert task.zoom(soft, torch.full((3,), 2.0)).shape == task.mirror(soft).shape == soft.shape
    assert torch.autograd.gradcheck(task.soft, prediction[:1, :, :3, :4].double().requires_grad_())


def test_pictures_are_rgb_from_0_to_1_and_black_where_not_valid(task: Task) -> None:
    prediction, target, valid = labels(task)
    none = torch.zeros_like(valid)
    hidden = ~valid
    for drawn in (
        task.colorize(target),
        task.colorize(task.decode(prediction)),
        task.colorize(target, valid),
        task.colorize(poisoned(target, valid), valid),
        task.colorize(poisoned(target, none), none),
    ):
        assert drawn.shape == (3, 3, *SIZE)
        assert drawn.dtype == torch.float32
        assert ((drawn >= 0) & (drawn <= 1)).all()
    drawn = task.colorize(poisoned(target, valid), valid)
    assert not drawn.movedim(1, -1)[hidden].any()
    assert drawn.movedim(1, -1)[valid].any()
    assert torch.equal(drawn, task.colorize(target, valid))
    assert not task.colorize(poisoned(target, none), none).any()


def test_a_perfect_prediction_has_no_error_and_another_one_has(task: Task) -> None:
    prediction, target, valid = labels(task)
    if isinstance(task, Edges):
        valid = valid | True  # lines are thinned, and holes change how
    perfect = target
    if isinstance(task, ClassMap):
        perfect = torch.nn.functional.one_hot(target, task.num_classes).movedim(-1, 1).float()
    elif isinstance(task, BinaryTask):
        perfect = 20 * target - 10
    for raw, right in ((perfect, True), (prediction, False)):
        errors = task.error_map(raw, poisoned(target, valid), valid)
        if isinstance(errors, ErrorAmounts):
            assert errors.amount.shape == valid.shape
            amount = errors.amount[valid]
            assert float(amount.max()) < 0.05 if right else float(amount.mean()) > 0.05
            assert (amount >= 0).all()
        else:
            assert errors.kind.shape == valid.shape
            names = {errors.entries[kind][0] for kind in errors.kind[valid].unique().tolist()}
            good = {"right", "hit", "all right", "no edge", "rightly empty"}
            assert names <= good if right else names - good


def test_a_prediction_on_the_photo_is_colored_where_it_says_something(task: Task) -> None:
    prediction, _, valid = labels(task)
    over_photo = task.on_photo(task.decode(prediction))
    assert (over_photo is not None) == isinstance(task, ClassMap | BinaryTask)
    if over_photo is not None:
        colors, opacity = over_photo
        assert colors.shape == (3, 3, *SIZE)
        assert opacity.shape == valid.shape
        assert ((opacity >= 0) & (opacity <= 1)).all()
        assert ((colors >= 0) & (colors <= 1)).all()


def test_only_pictures_that_are_colors_themselves_have_no_legend(task: Task) -> None:
    _, target, valid = labels(task)
    legend = task.legend(poisoned(target, valid), valid)
    assert (legend is None) == (isinstance(task, Regression) and task.out_channels == 3)
    if isinstance(legend, ColorScale):
        assert legend.low < legend.high
        assert legend.colors.shape[0] == 3
        ends = task.colorize(
            torch.tensor([legend.low, legend.high]).view(1, 1, 1, 2).expand(1, task.out_channels, 1, 2)
        )
        torch.testing.assert_close(ends[0, :, 0], legend.colors[:, [0, -1]])


def test_mirroring_and_zooming_keep_the_form_of_labels_and_the_label_itself(task: Task) -> None:
    _, target, _ = labels(task)
    before = target.clone()
    for changed in (task.mirror(target), task.zoom(target, torch.tensor([1.0, 1.2, 1.5])), task.resampled(target)):
        assert changed.shape == target.shape
        assert changed.dtype == target.dtype
    assert torch.equal(target, before)
    assert torch.equal(task.zoom(target, torch.ones(3)), target)


def test_a_task_can_be_written_down_and_made_again(task: Task) -> None:
    again = make_task(describe_task(task))
    assert type(again) is type(task)
    assert describe_task(again) == describe_task(task)
    prediction, target, valid = labels(task)
    assert torch.equal(again.loss(prediction, target, valid), task.loss(prediction, target, valid))


def test_each_pixel_is_decoded_by_itself(task: Task) -> None:
    prediction, _, _ = labels(task)
    for decode in (task.decode, task.confidence):
        whole, part = decode(prediction), decode(prediction[..., 3:7, 5:])
        assert (whole is None) == (part is None)
        if whole is not None and part is not None:
            torch.testing.assert_close(whole[..., 3:7, 5:], part, atol=1e-6, rtol=0)


def test_confidence_is_a_probability_that_grows_with_the_prediction(task: Task) -> None:
    prediction = labels(task)[0]
    confidence = task.confidence(prediction)
    if isinstance(task, ClassMap | BinaryTask):
        assert confidence is not None
        assert confidence.shape == (3, *SIZE)
        least = 1 / task.out_channels if isinstance(task, ClassMap) else 0.5
        assert confidence.min() >= least
        assert confidence.max() <= 1
        surer = task.confidence(5 * prediction)
        assert surer is not None
        assert (surer >= confidence).all()
    else:
        assert confidence is None


def test_only_tasks_with_classes_have_scores_of_each(task: Task) -> None:
    metric = task.metric()
    metric.update(*labels(task))
    found = task.class_scores(metric)
    assert [*found] == (task.class_names if isinstance(task, ClassMap | MultiLabel) else [])
