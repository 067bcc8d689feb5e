"""Our network, losses, metrics and cross-task loss are the same functions as the authors'."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from golden import TASKS, golden_network, golden_objective, golden_values
from torch import Tensor

from builders import needs_shared
from mtpsl.structures import Batch

pytestmark = needs_shared
NAMES = [task.name for task in TASKS]


@pytest.fixture(scope="module")
def values() -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.asarray(value)) for name, value in golden_values().items()}


@pytest.fixture(scope="module")
def eval_output(values: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    with torch.no_grad():
        output = golden_network().eval()(values["image"])
    return output.predictions, output.features[-1]


def golden_batch(values: dict[str, Tensor], labelled: list[str] = NAMES) -> Batch:
    targets = {name: values[name] for name in NAMES}
    valid = {
        "segmentation": targets["segmentation"] >= 0,
        "depth": targets["depth"][:, 0] > 0,
        "normals": targets["normals"].abs().sum(1) > 0,
    }
    targets["segmentation"] = targets["segmentation"].clamp(min=0)
    for name in set(NAMES) - set(labelled):
        valid[name] = torch.zeros_like(valid[name])
    return Batch(("0", "1"), values["image"], targets, valid)


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    ours, theirs = ours.detach().double(), theirs.double()
    return float((ours - theirs).norm() / theirs.norm())


def as_published(predictions: dict[str, Tensor]) -> dict[str, Tensor]:
    log_softmax = predictions["segmentation"].log_softmax(1)
    normals = torch.nn.functional.normalize(predictions["normals"], dim=1)
    return {"segmentation": log_softmax, "depth": predictions["depth"], "normals": normals}


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_segnet_is_the_published_network(values: dict[str, Tensor], mode: str) -> None:
    network = golden_network().train(mode == "train")
    with torch.no_grad():
        output = network(values["image"])
    assert relative_error(output.features[-1], values[f"{mode}_features"]) < 1e-4
    for name, prediction in as_published(output.predictions).items():
        assert relative_error(prediction[..., ::4, ::4], values[f"{mode}_{name}"]) < 1e-4


def test_losses_are_the_published_ones(
    values: dict[str, Tensor], eval_output: tuple[dict[str, Tensor], Tensor]
) -> None:
    batch = golden_batch(values)
    for task in TASKS:
        loss = task.loss(eval_output[0][task.name], batch.targets[task.name], batch.valid[task.name])
        pixels = batch.valid[task.name].sum((1, 2))  # published: one average over the pixels of both images
        whole = (loss * pixels).sum() / pixels.sum()
        assert relative_error(whole, values[f"supervised_loss_{task.name}"]) < 1e-4


def test_metrics_are_the_published_ones(
    values: dict[str, Tensor], eval_output: tuple[dict[str, Tensor], Tensor]
) -> None:
    batch, scores = golden_batch(values), {}
    for task in TASKS:
        metric = task.metric()
        metric.update(eval_output[0][task.name], batch.targets[task.name], batch.valid[task.name])
        scores[task.name] = metric.compute()
    for ours, theirs, factor in (
        (scores["segmentation"]["miou"], "miou", 100),
        (scores["segmentation"]["pixel_accuracy"], "pixel_accuracy", 100),
        (scores["depth"]["abs_err"], "depth_abs_err", 1),
        (scores["depth"]["rmse"], "depth_rmse", 1),
        (scores["normals"]["mean_err"], "normals_mean_deg", 1),
        (scores["normals"]["within_11.25"], "normals_within_11.25", 1),
        (scores["normals"]["within_22.5"], "normals_within_22.5", 1),
        (scores["normals"]["within_30"], "normals_within_30", 1),
    ):
        assert relative_error(ours, factor * values[f"metric_{theirs}"]) < 1e-4, theirs


@pytest.fixture
def double() -> Iterator[None]:
    """What is made is double: single precision's gradients differ by a thousandth from processor to processor."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("regularizer", [0.5, 0.0])
@pytest.mark.usefixtures("double")
def test_cross_task_loss_and_gradients_are_the_published_ones(values: dict[str, Tensor], regularizer: float) -> None:
    values = {name: x.double() if x.is_floating_point() else x for name, x in values.items()}
    network = golden_network().double()
    with torch.no_grad():
        output = golden_network().double().eval()(values["image"])
    predictions = {name: x.double().requires_grad_() for name, x in as_published(output.predictions).items()}
    features = output.features[-1]
    objective = golden_objective(network, regularizer=regularizer).double()
    batch = golden_batch(values, ["segmentation"])
    terms = objective.consistency(predictions, features, batch)
    tag = f"seg_labelled_reg{regularizer}"
    total = torch.stack(list(terms.values())).sum()
    assert relative_error(total, values[f"cross_task_{tag}"].mean()) < 1e-4  # ours averages the two images
    assert terms["segmentation->depth"] == 0
    (2 * total).backward()
    mapping = objective.mapping
    normals = predictions["normals"]
    # Our encoding projects onto the sphere, on which the authors' prediction lies: take the gradient at the encoding.
    encoding = ((normals.detach() + 1) / 2).requires_grad_()
    measured = {
        "depth_prediction": predictions["depth"].grad.norm(),
        "first_gamma": mapping.stages[0][0].norm.gamma.grad.norm(),
        "segmentation_input_conv": mapping.inputs[0].conv.weight.grad.norm(),
        "last_stage_first_conv": mapping.stages[4][0].conv.weight.grad.norm(),
    }
    original = TASKS[2].encode_prediction
    try:
        TASKS[2].encode_prediction = lambda prediction: encoding[: len(prediction)]
        torch.stack(list(objective.consistency(predictions, features, batch).values())).sum().mul(2).backward()
    finally:
        TASKS[2].encode_prediction = original
    measured["normals_prediction"] = encoding.grad.norm() / 2
    for name, gradient in measured.items():
        assert relative_error(gradient, values[f"grad_{tag}_{name}_l2"]) < 1e-3, name  # theirs is single
